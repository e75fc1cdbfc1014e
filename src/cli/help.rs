//! The help of a verb in the person's language. What clap shows is written beside the arguments, in English; where
//! `assets/locales` has a text for it (`help-run`, `help-run-examples`, `help-run-nodes`, …), that one is shown.

use clap::Command;

use crate::tui::text::Texts;

/// The command with every text that the language of the environment has; `prefix` is `help-` and the verb.
pub fn translated(command: Command, prefix: &str) -> Command {
    with(command, prefix, &Texts::of_environment())
}

fn with(mut command: Command, prefix: &str, texts: &Texts) -> Command {
    let find = |id: String| texts.find(&id);
    if let Some(about) = find(prefix.into()) {
        command = command.about(about);
    }
    if let Some(examples) = find(format!("{prefix}-examples")) {
        command = command.before_help(examples);
    }
    command = command.mut_args(|arg| match find(format!("{prefix}-{}", arg.get_id())) {
        Some(text) => arg.help(text),
        None => arg,
    });
    let below: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_string()).collect();
    below.into_iter().fold(command, |command, name| {
        let prefix = format!("{prefix}-{name}");
        command.mut_subcommand(name, |sub| with(sub, &prefix, texts))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// About, examples and arguments are said in the language that is asked for; what it lacks stays as it was written.
    #[test]
    fn a_help_is_translated() {
        let command = Command::new("terrarium run")
            .about("Open a fresh world and run a command in it")
            .arg(clap::Arg::new("seed").long("seed").help("The seed"))
            .arg(clap::Arg::new("own").long("own").help("kept as it is"));
        let shown = with(command, "help-run", &Texts::new("zh-CN")).render_help().to_string();
        for text in ["在一个全新的世界里", "随机", "kept as it is", "terrarium run --nodes 3"] {
            assert!(shown.contains(text), "{text}: {shown}");
        }
    }
}
