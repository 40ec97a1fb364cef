//! The command line: arguments to an exit code. Results go to stdout, findings and errors to stderr.

pub mod certs;
pub mod check;
pub mod delegate;
pub mod demo;
pub mod explain;
pub mod print;
pub mod run;

use std::path::PathBuf;

use clap::{CommandFactory, Parser, Subcommand};

use crate::tls::mint::{MintError, Renewal};

/// Fine.
pub const OK: u8 = 0;
/// The thing asked for failed.
pub const FAILED: u8 = 1;
/// Usage or configuration error.
pub const USAGE: u8 = 2;

/// A routing proxy for HTTP/1.1 and HTTP/2: names, balances and encrypts calls between services.
#[derive(Parser, Debug)]
#[command(
    name = "waypost",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 fine, 1 the thing asked for failed, 2 usage or configuration error."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Serve
    #[command(
        after_help = "SIGTERM and SIGINT drain and exit 0. SIGHUP reads the configuration again: a bad one is refused whole and the one in use goes on."
    )]
    Run {
        /// The configuration
        config: PathBuf,
    },
    /// Parse and lint a configuration: every mistake with its place and a hint
    Check {
        /// The configuration
        config: PathBuf,
        /// Exit with 1 when there are warnings
        #[arg(long)]
        deny_warnings: bool,
    },
    /// Show where a request would go, under which rules, and whose certificate will be demanded
    Explain(explain::ExplainArgs),
    /// Delegate a path through a dtab, without a configuration
    Delegate(delegate::DelegateArgs),
    /// Make a certificate authority and certificates for development; show any certificate
    #[command(subcommand)]
    Certs(Certs),
    /// Run two echo services and a caller-side and a callee-side router, with TLS between them
    Demo(demo::DemoArgs),
    /// Print a completion script
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

#[derive(Subcommand, Debug)]
enum Certs {
    /// Make a certificate authority: DIR/ca.pem and DIR/ca.key; refuses where one is
    Init {
        /// Made if it is not there
        dir: PathBuf,
    },
    /// Issue one certificate that carries all names: DIR/<first name>.pem and .key
    Issue {
        /// Where the authority is
        dir: PathBuf,
        /// DNS names, IP addresses or spiffe:// URIs
        #[arg(required = true)]
        names: Vec<String>,
        /// Days until it ends
        #[arg(long, default_value_t = crate::tls::mint::DEFAULT_DAYS)]
        days: u32,
        /// Put the first name into the subject's CN and leave out subjectAltName, as old certificates do
        #[arg(long)]
        cn_only: bool,
    },
    /// Issue certificates again, with new keys and the same names
    Renew {
        /// Where the authority and the certificates are
        dir: PathBuf,
        /// The first names of those to renew; default: all that the authority issued
        names: Vec<String>,
        /// Days until they end; default: as long as each was valid
        #[arg(long)]
        days: Option<u32>,
        /// Only those that end within so many days
        #[arg(long, value_name = "DAYS")]
        within: Option<u32>,
    },
    Show(certs::show::ShowArgs),
}

/// Parses the arguments and does what they say.
pub fn main() -> u8 {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; clap knows which stream is theirs.
            drop(error.print());
            return if error.use_stderr() { USAGE } else { OK };
        }
    };
    match cli.command {
        Command::Run { config } => run::run(&config),
        Command::Check { config, deny_warnings } => check::check(&config, deny_warnings),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Delegate(arguments) => delegate::run(&arguments),
        Command::Certs(Certs::Init { dir }) => minted(certs::init(&dir)),
        Command::Certs(Certs::Issue { dir, names, days, cn_only }) => minted(certs::issue(&dir, &names, days, cn_only)),
        Command::Certs(Certs::Renew { dir, names, days, within }) => {
            minted(certs::renew(&dir, &names, Renewal { days, within }))
        }
        Command::Certs(Certs::Show(arguments)) => certs::show::show(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Completions { shell } => completions(shell),
        Command::Man => man(),
    }
}

fn minted(result: Result<(), MintError>) -> u8 {
    match result {
        Ok(()) => OK,
        Err(error) => {
            print::error(&error);
            if error.is_usage() { USAGE } else { FAILED }
        }
    }
}

fn completions(shell: clap_complete::Shell) -> u8 {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "waypost", &mut script);
    print::out(&String::from_utf8_lossy(&script))
}

fn man() -> u8 {
    let mut page = Vec::new();
    match clap_mangen::Man::new(Cli::command()).render(&mut page) {
        Ok(()) => print::out(&String::from_utf8_lossy(&page)),
        Err(error) => print::error(&error),
    }
}
