//! A job array for Slurm: one script, one task per run.

use std::path::Path;

use super::plan::Plan;
use crate::output::quote;

/// The script. It is submitted from the folder that the sweep is started in, where a job array's tasks start too.
pub fn script(plan: &Plan, program: &Path, jobs: Option<usize>, threads: usize, arguments: &str) -> String {
    let name = plan.folder.file_name().unwrap_or_default().to_string_lossy();
    let runs = plan.runs.len();
    let at_once = jobs.map(|jobs| format!("%{jobs}")).unwrap_or_default();
    // sbatch takes quotes, and a percent sign for one of its own places.
    let output = plan.folder.display().to_string().replace('%', "%%");
    let limit = if runs > 1000 {
        "# Many clusters allow arrays up to 1000 (MaxArraySize, see scontrol show config).\n"
    } else {
        ""
    };
    let word = |path: &Path| quote(&path.to_string_lossy());
    format!(
        "#!/bin/sh\n\
         # The sweep {sweep} as a job array of {runs} runs. Submit it in the folder where it was written:\n\
         #   sbatch SCRIPT\n\
         # and make the table, as often as you like, by\n\
         #   emberloop sweep {sweep} --out {out} --collect\n\
         # Submitted again it goes on: finished runs stay, interrupted ones resume.\n\
         {limit}\
         #SBATCH --job-name={job}\n\
         #SBATCH --array=1-{runs}{at_once}\n\
         #SBATCH --ntasks=1\n\
         #SBATCH --cpus-per-task={threads}\n\
         #SBATCH --output=\"{output}/slurm-%A_%a.out\"\n\
         # What your cluster wants besides: --partition, --account, --time, --mem, --gres=gpu:1, ...\n\
         \n\
         exec {program} sweep {sweep} --out {out} --index \"$SLURM_ARRAY_TASK_ID\" --threads \"${{SLURM_CPUS_PER_TASK:-{threads}}}\"{arguments}\n",
        sweep = word(&plan.path),
        job = quote(&name),
        program = word(program),
        out = word(&plan.folder),
    )
}
