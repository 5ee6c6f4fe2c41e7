//! The manual of all remediations, made of what stands in their files: the doc comments, the tags, the calls.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use rescind::TagKey;
use rescind_lambda::{AnyRemediation, Function, Operation};

/// Where it stands, from the repository's folder.
pub const FILE: &str = "functions/MANUAL.md";

/// The whole manual, in Markdown.
pub fn manual(repository: &Path, functions: &[Function]) -> String {
    let mut text = "# Manual\n\nOne section for each remediation, made of its file by `make manual`: change it there.\n\n\
        The tags that every remediation understands are in the [README](../README.md#tags), as are undo and approval.\n\n"
        .to_owned();
    for function in functions.iter().filter(|function| !function.remediations.is_empty()) {
        let names = function.names().into_iter().map(|name| format!("[{name}](#{name})"));
        line(&mut text, &format!("- `{}`: {}", function.name, names.collect::<Vec<_>>().join(", ")));
    }
    for function in functions {
        for remediation in function.remediations {
            section(&mut text, repository, function.name, *remediation);
        }
    }
    text
}

/// The doc comment at the head of a remediation's file.
pub fn doc_comment(repository: &Path, function: &str, remediation: &str) -> String {
    let file = repository.join(format!("functions/{function}/src/{}.rs", remediation.replace('-', "_")));
    let text = fs::read_to_string(file).unwrap_or_default();
    let comment = text.lines().map_while(|line| line.strip_prefix("//!"));
    comment.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

/// The names of its rules, without the stack's: those of the template whose tag names the remediation.
fn rules(repository: &Path, remediation: &str) -> Vec<String> {
    let template = fs::read_to_string(repository.join("template.yaml")).unwrap_or_default();
    let between = |text: &str, start: &str, end: char| {
        let after = text.split_once(start).map(|(_, after)| after)?;
        Some(after.split(end).next()?.trim().trim_matches('"').to_owned())
    };
    let of_rule = |rule: &str| {
        let name = between(rule, "Name: !Sub ${AWS::StackName}-", '\n')?;
        let tag = between(rule, "\"rescind:remediation\", Value: ", '}')?;
        tag.split(' ').any(|one| one == remediation).then_some(name)
    };
    template.split("    Type: AWS::Events::Rule\n").skip(1).filter_map(of_rule).collect()
}

fn section(text: &mut String, repository: &Path, function: &str, remediation: &dyn AnyRemediation) {
    let name = remediation.name();
    line(text, &format!("\n## {name}\n"));
    let comment = doc_comment(repository, function, name);
    let (summary, rest) = comment.split_once("\n\n").unwrap_or((&comment, ""));
    let summary = summary.strip_prefix(&format!("`{name}`: ")).unwrap_or(summary);
    line(text, &format!("{}\n", capitalized(summary)));
    let (before, references) = rest.split_once("## References").unwrap_or((rest, ""));
    line(text, before.replace("## ", "### ").trim_end());
    if !remediation.tags().is_empty() {
        line(text, "\n| tag | value | without it |\n| --- | --- | --- |");
        for TagKey { key, value, default, .. } in remediation.tags() {
            line(text, &format!("| `rescind:{key}` | {value} | {default} |"));
        }
    }
    line(text, &format!("\n### References{}", references.trim_end()));
    line(text, "\n### Calls\n");
    let rules: Vec<String> = rules(repository, name).iter().map(|rule| format!("`<stack>-{rule}`")).collect();
    line(text, &format!("Rules: {}.", rules.join(", ")));
    let heard: Vec<String> = remediation.calls().iter().map(|call| format!("`{call}`")).collect();
    if !heard.is_empty() {
        line(text, &format!("Heard by CloudTrail: {}.", heard.join(", ")));
    }
    for (kind, changes) in [("Reads", false), ("Changes, or undoes", true)] {
        let mut calls: Vec<&Operation> = remediation.operations().iter().filter(|one| one.changes == changes).collect();
        calls.sort();
        let calls: Vec<String> = calls.iter().map(|operation| format!("`{}`", operation.action)).collect();
        if !calls.is_empty() {
            line(text, &format!("{kind}: {}.", calls.join(", ")));
        }
    }
    line(
        text,
        &format!(
            "\nSamples: [events/{name}](../events/{name}). Code: [{name}]({function}/src/{}.rs).",
            name.replace('-', "_")
        ),
    );
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a text can be written to");
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
