//! `waypost demo`.

/// Arguments of `waypost demo`.
#[derive(clap::Args, Debug)]
pub struct DemoArgs {
    /// The first of the ports that are used
    #[arg(long, default_value_t = 4140)]
    port_base: u16,
    /// Try everything, tell each step, and exit
    #[arg(long)]
    check: bool,
}

/// Runs the demo.
pub fn run(_arguments: &DemoArgs) -> u8 {
    0
}
