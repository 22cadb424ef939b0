//! The memory map and the linker arguments come from `board.toml`.

fn main() {
    emberloop_board_build::link();
}
