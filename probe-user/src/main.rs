//! `linkprobe`: the command line.
//!
//! - `logging`: the log, which holds nobody up.

mod logging;

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, Result};
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use probe_user::{agent, client, config::Config, guard, keys, overlay, ping, replay};

/// Watches the links between data centers from inside the kernel, and says per direction whether each
/// path is usable.
#[derive(Debug, Parser)]
#[command(name = "linkprobe", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    log: logging::Options,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the agent: probes, reflector, verdicts, HTTP (needs root or CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON)
    Run {
        /// The config file; SIGHUP reads it again
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Run only a Session-Reflector (RFC 8762); needs the same privileges, or `--datapath socket`
    Reflect(agent::reflect::Arguments),
    /// Probe a Session-Reflector (RFC 8762) and say what came back: exit code 0 if anything did, 1 if
    /// nothing, 2 if it could not be tried
    Ping(Box<ping::Arguments>),
    /// Show the paths of a running agent
    Status {
        #[command(flatten)]
        agent: AgentUrl,
        /// Print the document of /api/v1/paths instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Check the paths of a running agent, as a monitoring plugin: exit code 0 ok, 1 degraded,
    /// 2 unhealthy, 3 unknown; with --region: 0 reachable, 1 impaired, 2 isolated, 3 unknown or cut off itself
    Check {
        #[command(flatten)]
        agent: AgentUrl,
        /// Only the path to this peer
        #[arg(long, value_name = "PEER", conflicts_with = "region")]
        path: Option<String>,
        /// Whether traffic goes to this region and back
        #[arg(long, value_name = "REGION")]
        region: Option<String>,
    },
    /// Say what a config guarantees: how soon loss is seen, how soon its end, how often an alarm is false
    Explain {
        /// The config file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Print one JSON document instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Put a recording through the verdict engine: what would these numbers have said?
    ///
    /// A running agent records where its config says, in `[record]`. Of the configs only `[health]` counts; how the paths were
    /// probed is part of the recording.
    Replay(replay::Arguments),
    /// Look at the routes of the overlay, or take them out
    Overlay {
        #[command(subcommand)]
        command: OverlayCommand,
    },
    /// Keep a command running against a target that can be reached: start it against the best one, and again against
    /// another when the target's region is isolated from here or cut off from the others
    ///
    /// A running agent here says which regions are isolated, and agents in the targets' regions whether these are cut
    /// off. While this node is the one that is cut off, or its agent does not answer, the command stays where it is.
    #[command(after_help = guard::HELP)]
    Guard(Box<guard::Arguments>),
    /// Make keys for authenticated mode
    Key {
        #[command(subcommand)]
        command: KeyCommand,
    },
    /// Look at config files
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
}

#[derive(Debug, Args)]
struct AgentUrl {
    /// Where the agent listens: `listen` in the section `web` of its config
    #[arg(long, default_value = client::DEFAULT_URL)]
    url: String,
}

#[derive(Debug, Subcommand)]
enum OverlayCommand {
    /// Show which way traffic goes to each destination of a running agent, why, and what else there is
    Status {
        #[command(flatten)]
        agent: AgentUrl,
        /// Print the document of /api/v1/overlay instead of tables
        #[arg(long)]
        json: bool,
    },
    /// Take out all routes and rules that an agent has put in (needs root or CAP_NET_ADMIN)
    ///
    /// An agent leaves them in place when it ends, so that traffic goes on. They are known by their protocol, 98; no others
    /// are touched. A running agent would put them in again: stop it first.
    Flush,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Print a line for a key file: an id and a new secret
    ///
    /// A key file has one key on each line and is private: `(umask 077; linkprobe key generate >keys)`.
    /// The agents at both ends of a path need the same key.
    Generate {
        /// Id of the key: letters, digits, "-", "_" and "."; today's date unless given
        #[arg(value_name = "ID")]
        id: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Check a config file and say what is wrong with it
    Check {
        /// The config file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Print the JSON schema of config files
    Schema,
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let log = match logging::Log::start(cli.log) {
        Ok(log) => log,
        Err(error) => return fail(&error.into(), 1),
    };
    let outcome = execute(cli.command);
    drop(log);
    match outcome {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => fail(&error, 1),
    }
}

/// Says what went wrong. The exit code says it too, whether or not somebody reads the line.
fn fail(error: &anyhow::Error, code: u8) -> ExitCode {
    writeln!(io::stderr(), "linkprobe: {error:#}").ok();
    ExitCode::from(code)
}

/// Prints help, or what is wrong with the command line. A monitoring plugin that was called in a wrong
/// way knows nothing, which is 3; clap's 2 would say "unhealthy". A guard that was has started nothing, which is 125.
fn usage(error: &clap::Error) -> ExitCode {
    error.print().ok();
    let commands = Cli::command();
    // Options may stand before it, with values.
    let command = std::env::args_os().skip(1).find_map(|word| commands.find_subcommand(word));
    match (error.exit_code(), command.map(clap::Command::get_name)) {
        (0, _) => ExitCode::SUCCESS,
        (_, Some("check")) => ExitCode::from(3),
        (_, Some("guard")) => ExitCode::from(guard::FAILED),
        (code, _) => ExitCode::from(code as u8),
    }
}

fn execute(command: Command) -> Result<ExitCode> {
    match command {
        Command::Run { config: file } => {
            let config = Config::load(&file)?;
            block_on(agent::run(file, config))?;
        }
        Command::Reflect(arguments) => block_on(agent::reflect::run(&arguments))?,
        Command::Ping(arguments) => return Ok(ping(&arguments)),
        Command::Guard(arguments) => {
            return Ok(match guard::run(&arguments) {
                Ok(code) => ExitCode::from(code),
                Err(guard::Failure { code, error }) => fail(&error, code),
            });
        }
        Command::Status { agent, json } => {
            let paths = client::fetch_paths(&agent.url)?;
            let text = if json {
                serde_json::to_string_pretty(&paths)? + "\n"
            } else {
                client::status_table(&paths)
            };
            print(&text)?;
        }
        Command::Check { agent, path, region } => {
            let (code, line) = client::check_agent(&agent.url, path.as_deref(), region.as_deref());
            // The exit code is the answer, whether or not somebody reads the line.
            print(&format!("{line}\n")).ok();
            return Ok(ExitCode::from(code));
        }
        Command::Explain { config, json } => {
            let guarantees = client::explain(&Config::load_without_keys(&config)?);
            let text = if json {
                serde_json::to_string_pretty(&guarantees)? + "\n"
            } else {
                client::explain_table(&guarantees)
            };
            print(&text)?;
        }
        Command::Replay(arguments) => replay::run(&arguments, &mut io::stdout().lock())?,
        Command::Overlay { command: OverlayCommand::Status { agent, json } } => {
            let overlay = client::fetch_overlay(&agent.url)?;
            let text = if json {
                serde_json::to_string_pretty(&overlay)? + "\n"
            } else {
                client::overlay_table(&overlay)
            };
            print(&text)?;
        }
        Command::Overlay { command: OverlayCommand::Flush } => {
            let (routes, rules) = block_on(overlay::actuator::flush())?;
            print(&format!("{routes} routes and {rules} rules taken out\n"))?;
        }
        Command::Key { command: KeyCommand::Generate { id } } => {
            let id = id.unwrap_or_else(keys::id_of_today);
            let line = keys::generate(&id).map_err(anyhow::Error::msg)?;
            print(&line)?;
            print("\n")?;
        }
        Command::Config { command: ConfigCommand::Check { file } } => {
            let config = Config::load(&file)?;
            let (peers, flows) = (config.peers.len(), config.probe.flows);
            print(&format!("{}: good: {peers} peers, {flows} flows each\n", file.display()))?;
        }
        Command::Config { command: ConfigCommand::Schema } => {
            print(&(serde_json::to_string_pretty(&probe_user::config::schema())? + "\n"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// As `ping` does, 1 says that there was no answer, and 2 that something is wrong.
fn ping(arguments: &ping::Arguments) -> ExitCode {
    match block_on(ping::run(arguments)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => fail(&error, 2),
    }
}

fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the async runtime")?;
    let outcome = runtime.block_on(work);
    // A name server that does not answer must not hold up the end.
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

fn print(text: &str) -> Result<()> {
    Ok(io::stdout().lock().write_all(text.as_bytes())?)
}

/// Whether the reader of our output has gone, as `head` does: no error.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
