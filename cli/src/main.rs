//! The binary `chukta`; what it does is the library's.

fn main() -> std::process::ExitCode {
    cli::main()
}
