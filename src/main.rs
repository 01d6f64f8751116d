//! The binary: everything is in the library's [`togi::cli`].

#[global_allocator]
static ALLOCATOR: togi::bench::allocations::Counting = togi::bench::allocations::Counting;

fn main() -> std::process::ExitCode {
    togi::cli::main()
}
