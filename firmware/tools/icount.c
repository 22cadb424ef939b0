/* A QEMU TCG plugin that counts the instructions a guest executes, exactly.
 *
 *   cc -O2 -shared -fPIC -o icount.so icount.c                 (QEMU 9.1 and later)
 *   qemu-system-arm ... -plugin ./icount.so[,hist=on][,stages=FILE][,out=FILE]
 *
 * Prints the total, and for each region between two marker instructions, which do
 * nothing on any core:      begin              end
 *   Thumb                   mov r9,r9 (46c9)   mov r10,r10 (46d2)
 *   RISC-V (a HINT)         slti x0,x0,0x101   slti x0,x0,0x102
 * The count of a region leaves both markers out. A marker where none belongs is said: the compiler made one by chance.
 *
 * With `stages`, behind a region's count stand the counts of its stages 0, 1, ..., by where each instruction lies; they
 * add up to it. FILE has a line for each range of addresses, `START END STAGE`, sorted: START and END (exclusive) in
 * hexadecimal, STAGE one of
 *   3        stage 3, a number below 16; what lies in no range is stage 0
 *   3!       the same, and ranges with a `?` that it calls are its own too
 *   3?       stage 3, unless it is called by one with a `!`
 *   shared   the stage that was executed last: code that serves all
 *
 * Only what is declared below is used of the plugin API: but for insn_data it is the same in API 1 to 5, so no header is
 * needed. `cargo xtask bench-engine` builds the plugin and reads what it prints.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef API
#define API 4
#endif
#define EXPORT __attribute__((visibility("default")))
typedef uint64_t id_t_;
struct qemu_plugin_tb; struct qemu_plugin_insn;
struct qemu_info { const char *target_name; /* ... */ };
typedef void (*tb_cb)(id_t_, struct qemu_plugin_tb *);
typedef void (*exec_cb)(unsigned, void *);
extern void qemu_plugin_register_vcpu_tb_trans_cb(id_t_, tb_cb);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
extern void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, exec_cb, int flags, void *);
extern char *qemu_plugin_insn_disas(const struct qemu_plugin_insn *);
extern size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *);
extern uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
extern void qemu_plugin_register_atexit_cb(id_t_, void (*)(id_t_, void *), void *);
#if API >= 3
extern size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *, void *, size_t);
#else
extern const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
#endif
EXPORT int qemu_plugin_version = API;

#define MAXOPS 4096
#define MAXSTAGES 16
enum kind { OWN, WHOLE, CALLED, SHARED };
static struct op { char name[24]; uint64_t n; } ops[MAXOPS];
static unsigned n_ops;
static struct range { uint64_t start, end; enum kind kind; unsigned stage; } *ranges;
static size_t n_ranges; static unsigned n_stages;
/* What is known of an instruction when it is translated; each combination is here once. */
static struct site { struct op *op; enum kind kind; unsigned stage; } *sites[MAXOPS + 1][SHARED + 1][MAXSTAGES];
static uint64_t total, begin_at, in_stage[MAXSTAGES];
static unsigned regions, stage; static bool whole, in_region, hist;
/* Of the guest's architecture: what marks on one may be a common instruction on another. */
static struct { const char *target; size_t size; uint32_t begin, end; } marks[] = {
  { "arm", 2, 0x46c9, 0x46d2 }, { "riscv32", 4, 0x10102013, 0x10202013 }, { NULL, 0, 0, 0 }
}, *mark = marks;
static FILE *out;

static void on_plain(unsigned cpu, void *u) {
  total++;
  if (!u || !in_region) return;
  struct site *s = u;
  if (s->op) s->op->n++;
  if (s->kind <= WHOLE) { stage = s->stage; whole = s->kind == WHOLE; }
  if (s->kind == CALLED && !whole) stage = s->stage;
  in_stage[stage]++;
}
static void on_begin(unsigned cpu, void *u) {
  if (in_region) fputs("icount: stray marker: a beginning within a region\n", out);
  total++; begin_at = total; in_region = true; stage = 0; whole = false;
  memset(in_stage, 0, sizeof in_stage);
}
static void on_end(unsigned cpu, void *u) {
  if (in_region) {
    fprintf(out, "icount: region %u: %" PRIu64, regions++, total - begin_at);
    for (unsigned k = 0; k < n_stages; k++) fprintf(out, " %" PRIu64, in_stage[k]);
    fputc('\n', out);
  } else fputs("icount: stray marker: an end without a beginning\n", out);
  in_region = false; total++;
}
static struct op *op_of(struct qemu_plugin_insn *i) {
  if (!hist) return NULL;
  char *d = qemu_plugin_insn_disas(i), name[24] = "?";
  if (d) { sscanf(d, "%23s", name); free(d); }
  for (unsigned k = 0; k < n_ops; k++) if (!strcmp(ops[k].name, name)) return &ops[k];
  if (n_ops == MAXOPS) return NULL;
  strcpy(ops[n_ops].name, name);
  return &ops[n_ops++];
}
static struct range range_of(uint64_t at) {
  size_t low = 0, high = n_ranges;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (at >= ranges[middle].end) low = middle + 1; else high = middle;
  }
  return low < n_ranges && at >= ranges[low].start ? ranges[low] : (struct range){ 0 };
}
static struct site *site_of(struct qemu_plugin_insn *i) {
  struct op *op = op_of(i);
  if (!op && !n_stages) return NULL;
  struct range r = range_of(qemu_plugin_insn_vaddr(i));
  struct site **site = &sites[op ? op - ops + 1 : 0][r.kind][r.stage];
  if (!*site && (*site = malloc(sizeof **site))) **site = (struct site){ op, r.kind, r.stage };
  return *site;
}
static void on_tb(id_t_ id, struct qemu_plugin_tb *tb) {
  for (size_t k = 0, n = qemu_plugin_tb_n_insns(tb); k < n; k++) {
    struct qemu_plugin_insn *i = qemu_plugin_tb_get_insn(tb, k);
    uint32_t w = 0; size_t sz = qemu_plugin_insn_size(i);
    if (sz > 4) sz = 4;
#if API >= 3
    qemu_plugin_insn_data(i, &w, sz);
#else
    memcpy(&w, qemu_plugin_insn_data(i), sz);
#endif
    exec_cb f = on_plain;
    if (sz == mark->size && w == mark->begin) f = on_begin;
    if (sz == mark->size && w == mark->end) f = on_end;
    qemu_plugin_register_vcpu_insn_exec_cb(i, f, 0, f == on_plain ? site_of(i) : NULL);
  }
}
static int by_n(const void *a, const void *b) { uint64_t x = ((struct op *)a)->n, y = ((struct op *)b)->n; return (x < y) - (x > y); }
static void on_exit_(id_t_ id, void *u) {
  fprintf(out, "icount: total: %" PRIu64 "\n", total);
  qsort(ops, n_ops, sizeof *ops, by_n);
  for (unsigned k = 0; k < n_ops && ops[k].n; k++) fprintf(out, "icount: in regions: %-8s %" PRIu64 "\n", ops[k].name, ops[k].n);
  fflush(out);
}
/* Whether the file is as the comment above says. */
static bool read_stages(const char *path) {
  FILE *file = fopen(path, "r");
  if (!file) { perror(path); return false; }
  struct range r; char name[24]; uint64_t last = 0; size_t room = 0;
  while (fscanf(file, "%" SCNx64 " %" SCNx64 " %23s", &r.start, &r.end, name) == 3) {
    char *rest = name;
    r.stage = strtoul(name, &rest, 10);
    if (!strcmp(name, "shared")) r.kind = SHARED;
    else if (rest == name || r.stage >= MAXSTAGES) break;
    else if (!*rest) r.kind = OWN;
    else if (!strcmp(rest, "!")) r.kind = WHOLE;
    else if (!strcmp(rest, "?")) r.kind = CALLED;
    else break;
    if (r.start < last || r.end <= r.start) break;
    if (n_ranges == room && !(ranges = realloc(ranges, (room = 2 * room + 256) * sizeof *ranges))) break;
    if (r.stage >= n_stages) n_stages = r.stage + 1;
    ranges[n_ranges++] = r;
    last = r.end;
  }
  bool good = feof(file) && n_ranges;
  if (!good) fprintf(stderr, "icount: %s: line %zu is wrong\n", path, n_ranges + 1);
  fclose(file);
  return good;
}
EXPORT int qemu_plugin_install(id_t_ id, const struct qemu_info *info, int argc, char **argv) {
  out = stderr;
  while (mark->target && strcmp(mark->target, info->target_name)) mark++;
  if (!mark->target) { fprintf(stderr, "icount: no markers for %s\n", info->target_name); return 1; }
  for (int k = 0; k < argc; k++) {
    if (!strcmp(argv[k], "hist=on")) hist = true;
    else if (!strncmp(argv[k], "stages=", 7)) { if (!read_stages(argv[k] + 7)) return 1; }
    else if (!strncmp(argv[k], "out=", 4)) { if (!(out = fopen(argv[k] + 4, "w"))) return 1; }
    else { fprintf(stderr, "icount: unknown argument %s\n", argv[k]); return 1; }
  }
  qemu_plugin_register_vcpu_tb_trans_cb(id, on_tb);
  qemu_plugin_register_atexit_cb(id, on_exit_, NULL);
  return 0;
}
