//! The report as one page that needs nothing but itself.

use crate::Problem;
use crate::plot::{Line, NEUTRAL, OURS, THEIRS, dots};
use crate::report::{CUSTODIAN, EMPTY, Report};
use crate::runs::Runs;
use crate::stage::Side;
use crate::table;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#1c2026}\
table{border-collapse:collapse;font-size:.88rem;width:100%}td,th{padding:.25rem .6rem;border-bottom:1px solid #ddd;text-align:right}\
td:first-child,th:first-child{text-align:left;white-space:pre-wrap}h1,h2{line-height:1.2}svg{max-width:100%;height:auto}\
.ours{color:#0b6e4f}.theirs{color:#b3541e}p{max-width:46rem}";

/// The whole page.
pub fn html(report: &Report) -> Result<String, Problem> {
    let machine = &report.machine;
    let mut body = String::new();
    body.push_str("<h1>What Rescind costs</h1>\n");
    body.push_str(&paragraph(&format!(
        "Measured at {} on {} cores ({}, Linux {}), with a load of {} before and {} after. Whole processes against one \
         emulator of AWS through one proxy, with Lambda's runtime API served over HTTP; the two products in turn, pair by pair, \
         {} times. Every run is a dot, the median a bar.",
        report.at,
        machine.cores,
        machine.processor,
        machine.kernel,
        machine.load_before,
        machine.load_after,
        report.near.rescind.len(),
    )));
    body.push_str(
        "<p><span class=\"ours\">Rescind</span> reads its settings, claims the event in its journal, asks for exemptions, reads \
         back and tells what it did. <span class=\"theirs\">Cloud Custodian</span>, with its documented policy, does none of \
         these.</p>\n",
    );
    body.push_str("<h2>What was aimed at</h2>\n");
    body.push_str(&table(&table::aims(report)));
    body.push_str("<h2>Until the rule is gone</h2>\n");
    body.push_str(&dots("milliseconds", &until_gone(report))?);
    body.push_str(&table(&table::rows(&report.rows)));
    body.push_str(&paragraph(
        "The emulator is one process of Python that answers one request at a time; what runs side by side waits in its queue, and \
         Rescind asks for more. \u{201c}No request under way\u{201d} is the time that is the products' own; and \u{201c}answers \
         recorded\u{201d} is an event once more, in which the proxy answers, at once or after the time that is added, what the emulator \
         had answered before.",
    ));
    body.push_str("<h2>Process start to the first request for work</h2>\n");
    let colour = |name: &str| match name {
        EMPTY => &NEUTRAL,
        CUSTODIAN => &THEIRS,
        _ => &OURS,
    };
    let starts = report.starts.iter();
    let starts: Vec<Line<'_>> = starts
        .map(|start| Line { name: start.name.clone(), values: start.ms.values.clone(), colour: colour(&start.name) })
        .collect();
    body.push_str(&dots("milliseconds", &starts)?);
    body.push_str(&table(&table::start_rows(report)));
    body.push_str("<h2>Peak memory</h2>\n");
    let memory = |side: Side| Line {
        name: side.name().to_owned(),
        values: report.near.each(side, |run| run.peak_memory_mb).values,
        colour: colour_of(side),
    };
    body.push_str(&dots("MB", &Side::BOTH.map(memory))?);
    body.push_str("<h2>How cost grows</h2>\n");
    let grown = report.growth.iter().map(|case| Line {
        name: format!("{} {}, {}", case.size, case.what, case.side.name()),
        values: case.warm.iter().map(|one| one.until_gone_ms).collect(),
        colour: colour_of(case.side),
    });
    body.push_str(&dots("milliseconds until it is taken back, warm", &grown.collect::<Vec<_>>())?);
    body.push_str(&table(&table::growth(&report.growth)));
    Ok(format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>What Rescind costs</title><style>{STYLE}</style></head>\n<body>\n{body}</body></html>\n"
    ))
}

fn colour_of(side: Side) -> &'static plotters::style::RGBColor {
    match side {
        Side::Rescind => &OURS,
        Side::Custodian => &THEIRS,
    }
}

fn until_gone(report: &Report) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let added = format!(", {} ms added", report.latency_ms);
    let all = [
        (&report.near, ""),
        (&report.far, added.as_str()),
        (&report.alone, ", answers recorded"),
        (&report.alone_far, ", recorded, added"),
    ];
    for (runs, how) in all {
        for (when, is_cold) in [("first event", true), ("warm event", false)] {
            for side in Side::BOTH {
                let values = if is_cold { cold(runs, side) } else { warm(runs, side) };
                lines.push(Line { name: format!("{}, {when}{how}", side.name()), values, colour: colour_of(side) });
            }
        }
    }
    lines
}

fn cold(runs: &Runs, side: Side) -> Vec<f64> {
    runs.each(side, |run| run.cold.until_gone_ms).values
}

fn warm(runs: &Runs, side: Side) -> Vec<f64> {
    runs.each_warm(side, |one| one.until_gone_ms).values
}

fn paragraph(text: &str) -> String {
    format!("<p>{}</p>\n", escape(text))
}

fn table(rows: &[Vec<String>]) -> String {
    let mut html = String::from("<table>\n");
    for (index, row) in rows.iter().enumerate() {
        let tag = if index == 0 { "th" } else { "td" };
        let cells: String = row.iter().map(|cell| format!("<{tag}>{}</{tag}>", escape(cell))).collect();
        html.push_str(&format!("<tr>{cells}</tr>\n"));
    }
    html + "</table>\n"
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_is_whole_and_stands_alone() {
        let page = super::html(&crate::report::tests::report()).expect("a page");
        assert_eq!(page.matches("<svg").count(), 4);
        assert_eq!(page.matches("</svg>").count(), 4);
        assert!(page.contains("a &lt;processor&gt;"), "text is escaped");
        // The name of SVG itself is no address that is asked for.
        let page = page.replace("http://www.w3.org/2000/svg", "");
        for outside in ["http://", "https://", "src=", "@import", "<link"] {
            assert!(!page.contains(outside), "{outside}");
        }
    }
}
