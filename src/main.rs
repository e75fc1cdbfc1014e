//! The one binary; see [`terrarium::cli`].

fn main() -> std::process::ExitCode {
    terrarium::cli::main()
}
