//! Every run as a dot, on an axis on which equal distances are equal ratios.

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::Problem;
use crate::table::short;

const WIDTH: u32 = 900;
const ROW: u32 = 34;
const MARGIN: u32 = 62;

/// One line of dots.
pub struct Line<'a> {
    pub name: String,
    pub values: Vec<f64>,
    pub colour: &'a RGBColor,
}

/// Rescind.
pub const OURS: RGBColor = RGBColor(0x0b, 0x6e, 0x4f);
/// Cloud Custodian.
pub const THEIRS: RGBColor = RGBColor(0xb3, 0x54, 0x1e);
/// Neither.
pub const NEUTRAL: RGBColor = RGBColor(0x55, 0x5f, 0x6b);

/// Draws lines of dots, the first one on top, as SVG.
pub fn dots(unit: &str, lines: &[Line<'_>]) -> Result<String, Problem> {
    let mut svg = String::new();
    let height = MARGIN + ROW * u32::try_from(lines.len())?;
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        draw(&area, unit, lines).map_err(|error| error.to_string())?;
        area.present()?;
    }
    Ok(svg)
}

fn draw(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    unit: &str,
    lines: &[Line<'_>],
) -> Result<(), DrawingAreaErrorKind<<SVGBackend<'static> as DrawingBackend>::ErrorType>> {
    let all = || lines.iter().flat_map(|line| &line.values).copied().filter(|value| *value > 0.0);
    let from = all().fold(f64::INFINITY, f64::min) / 1.4;
    let to = all().fold(0.0, f64::max) * 1.6;
    if !from.is_finite() {
        return Ok(());
    }
    let count = i32::try_from(lines.len()).unwrap_or(i32::MAX);
    let mut chart = ChartBuilder::on(area)
        .margin(6)
        .x_label_area_size(44)
        .y_label_area_size(280)
        // Downwards: the first line stands on top.
        .build_cartesian_2d((from..to).log_scale(), (f64::from(count) - 0.5)..-0.5)?;
    let text = ("sans-serif", 14).into_font();
    let name = |at: &f64| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the number of a line")]
        let index = at.round().max(0.0) as usize;
        lines.get(index).map(|line| line.name.clone()).unwrap_or_default()
    };
    chart
        .configure_mesh()
        .disable_y_mesh()
        .light_line_style(RGBColor(0xee, 0xee, 0xee))
        .y_labels(lines.len() * 2 + 1)
        .y_label_formatter(&|at| if (at - at.round()).abs() < 0.01 { name(at) } else { String::new() })
        .x_label_formatter(&|value| short(*value))
        .x_desc(unit)
        .label_style(text.clone())
        .draw()?;
    for (line, at) in lines.iter().zip(0_i32..) {
        let at = f64::from(at);
        let dot = |value: &f64| Circle::new((*value, at), 4, line.colour.mix(0.45).filled());
        chart.draw_series(line.values.iter().filter(|value| **value > 0.0).map(dot))?;
        let median = crate::statistics::Summary::of(line.values.iter().copied()).median;
        if median > 0.0 {
            let mark = [(median, at - 0.32), (median, at + 0.32)];
            chart.draw_series([PathElement::new(mark, line.colour.stroke_width(3))])?;
            let label = Text::new(short(median), (median, at - 0.48), text.clone().color(line.colour));
            chart.draw_series([label])?;
        }
    }
    Ok(())
}
