//! Configurations: any text, and any variables.
//!
//! Nothing panics; what is wrong is told in words without control characters; what is accepted fits together, and what
//! `tickwire config show` prints of it says the same.

#![no_main]

mod cli;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((first, rest)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let read = match first % 4 {
        // Lines of names and values.
        0 => {
            let lines = text.lines().filter_map(|line| line.split_once('='));
            let variables: Vec<(String, &str)> =
                lines.map(|(name, value)| (format!("TICKWIRE_{name}"), value)).collect();
            let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (name.as_str(), *value)).collect();
            cli::of_variables(&variables)
        }
        _ => cli::parse(text),
    };
    match read {
        Ok(config) => {
            cli::check(&config);
            let shown = cli::show(&config);
            let again = cli::parse(&shown).unwrap_or_else(|problems| panic!("{problems:?}\n{shown}"));
            assert_eq!(cli::show(&again), shown);
            cli::parse(&cli::show_hidden(&config)).map_or_else(
                // A hidden secret is too short for one.
                |problems| assert!(shown.contains("secret = "), "{problems:?}"),
                drop,
            );
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            for problem in problems {
                assert!(!problem.contains(char::is_control), "{problem:?}");
            }
        }
    }
});
