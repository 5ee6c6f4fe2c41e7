//! The report on a terminal: plain tables that read well at 120 columns.

use crate::growth::Case;
use crate::report::{EMPTY, Report, Row};
use crate::runs::Start;
use crate::stage::Measured;
use crate::statistics::Summary;

/// The whole report.
pub fn text(report: &Report) -> String {
    let Report { machine, .. } = report;
    let mut text = String::new();
    text.push_str(&format!(
        "\n{} cores, {}; load {} before and {} after. Medians, in brackets minimum and maximum.\n",
        machine.cores, machine.processor, machine.load_before, machine.load_after
    ));
    text.push_str(&section("Process start to the first request for work", &start_rows(report)));
    text.push_str(&section("One event: port 22 is opened to the world", &rows(&report.rows)));
    text.push_str(&section("How cost grows", &growth(&report.growth)));
    text.push_str(&section("What was aimed at", &aims(report)));
    text
}

fn section(title: &str, rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = format!("\n{title}\n{}\n", "-".repeat(title.chars().count()));
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate();
        let line: Vec<String> = cells
            .map(
                |(column, (cell, width))| {
                    if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
                },
            )
            .collect();
        text.push_str(&format!("  {}\n", line.join("  ").trim_end()));
    }
    text
}

/// Each function, and how it stands to the empty one.
pub fn start_rows(report: &Report) -> Vec<Vec<String>> {
    let mut rows = vec![cells(["function", "ms", "× the empty one", "zipped, MB"])];
    let empty = report.starts.iter().find(|start| start.name == EMPTY);
    for Start { name, ms } in &report.starts {
        let ratio = empty.map(|empty| empty.ms.times(ms)).unwrap_or_default();
        let package = report.packages.iter().find(|package| package.name == *name);
        #[expect(clippy::cast_precision_loss, reason = "megabytes")]
        let size = package.map(|package| short(package.bytes as f64 / 1e6)).unwrap_or_default();
        rows.push(vec![name.clone(), range(ms), range(&ratio), size]);
    }
    rows
}

/// Both products side by side.
pub fn rows(rows: &[Row]) -> Vec<Vec<String>> {
    let mut all = vec![cells(["", "", "Rescind", "Cloud Custodian", "times better"])];
    for row in rows {
        let cell = |summary: &Summary| {
            let mean = if row.has_mean { format!(", mean {}", short(summary.mean)) } else { String::new() };
            format!("{}{mean}", range(summary))
        };
        all.push(vec![
            row.what.clone(),
            row.unit.to_owned(),
            cell(&row.rescind),
            cell(&row.custodian),
            range(&row.ratio),
        ]);
    }
    all
}

/// How much longer more to look at takes.
pub fn growth(cases: &[Case]) -> Vec<Vec<String>> {
    let mut all =
        vec![cells(["", "", "", "first: gone, ms", "warm: gone, ms", "warm: answered, ms", "requests", "in a row"])];
    for Case { what, size, side, cold, warm } in cases {
        let of = |measured: &[Measured], figure: fn(&Measured) -> f64| Summary::of(measured.iter().map(figure));
        let most = |figure: fn(&Measured) -> usize| warm.iter().map(figure).max().unwrap_or_default().to_string();
        all.push(vec![
            what.clone(),
            size.to_string(),
            side.name().to_owned(),
            range(&of(cold, |one| one.until_gone_ms)),
            range(&of(warm, |one| one.until_gone_ms)),
            range(&of(warm, |one| one.until_answered_ms)),
            most(|one| one.requests),
            most(|one| one.chain),
        ]);
    }
    all
}

/// What was aimed at, and what came of it.
pub fn aims(report: &Report) -> Vec<Vec<String>> {
    let mut all = vec![cells(["", "aim", "is", "", "answers recorded"])];
    for aim in &report.aims {
        let met = if aim.is_met { "met" } else { "missed" };
        let recorded = aim.recorded.map(short).unwrap_or_default();
        all.push(vec![aim.what.clone(), aim.aim.clone(), short(aim.is), met.to_owned(), recorded]);
    }
    all
}

fn cells<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).into()
}

/// The median, and between what the values lie where they differ.
fn range(summary: &Summary) -> String {
    if summary.values.is_empty() {
        return String::new();
    }
    let [median, minimum, maximum] = [summary.median, summary.minimum, summary.maximum].map(short);
    if minimum == maximum { median } else { format!("{median} ({minimum}–{maximum})") }
}

/// Three digits that mean something.
pub fn short(number: f64) -> String {
    let digits = match number.abs() {
        size if size >= 100.0 || number.fract() == 0.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    format!("{number:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_reads_well() {
        insta::assert_snapshot!(text(&crate::report::tests::report()));
    }

    #[test]
    fn numbers_have_three_digits() {
        assert_eq!([1234.5, 99.44, 9.876, 2.0, 0.031].map(short), ["1234", "99.4", "9.88", "2", "0.03"]);
    }
}
