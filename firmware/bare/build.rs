//! The memory map and the linker arguments of the board that `EMBERLOOP_BOARD` names.

fn main() {
    emberloop_board_build::link_bare();
}
