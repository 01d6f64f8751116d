//! The binary: everything is in the library's [`togi::cli`].

fn main() -> std::process::ExitCode {
    togi::cli::main()
}
