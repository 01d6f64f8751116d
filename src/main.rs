//! The binary: everything is in the library's [`togi::cli`].

// An allocator can only be chosen by the program itself.
#[global_allocator]
static ALLOCATOR: togi::bench::allocations::Counting = togi::bench::allocations::Counting;

fn main() -> std::process::ExitCode {
    togi::cli::main()
}
