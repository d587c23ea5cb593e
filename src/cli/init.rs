//! x
#[derive(Debug, clap::Args)] pub struct Args {}
pub fn run(_: &Args, _: &super::Global) -> anyhow::Result<std::process::ExitCode> { Ok(std::process::ExitCode::SUCCESS) }
