//! The course of a training run as a picture.

use super::{EpochReport, TrainError};
use plotters::prelude::*;

const SIZE: (u32, u32) = (960, 540);
/// Readable beside each other and for the colour-blind (Okabe and Ito).
const COLORS: [RGBColor; 3] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
];

/// Bits per byte over steps, the former on a logarithmic axis, as SVG.
pub(crate) fn svg(name: &str, history: &[EpochReport]) -> Result<String, TrainError> {
    let mut text = String::new();
    draw(name, history, &mut text).map_err(|error| TrainError::Curve(error.to_string()))?;
    Ok(text)
}

fn draw(
    name: &str,
    history: &[EpochReport],
    text: &mut String,
) -> Result<(), Box<dyn std::error::Error>> {
    type Value = fn(&EpochReport) -> Option<f64>;
    let lines: [(&str, Value); 3] = [
        ("trained on", |report| Some(report.bits)),
        ("held-out wordings", |report| report.wordings),
        ("held-out rows", |report| report.rows),
    ];
    // An axis cannot show 0.
    let points = |value: Value| -> Vec<(f64, f64)> {
        let point = |report: &EpochReport| Some((report.step as f64, value(report)?.max(1e-4)));
        history.iter().filter_map(point).collect()
    };
    let all: Vec<f64> = lines
        .iter()
        .flat_map(|(_, value)| points(*value))
        .map(|(_, bits)| bits)
        .collect();
    // Whole powers of 2, so that the axis has labels at both ends.
    let lowest = all
        .iter()
        .copied()
        .fold(1.0, f64::min)
        .log2()
        .floor()
        .exp2();
    let highest = all.iter().copied().fold(2.0, f64::max).log2().ceil().exp2();
    let steps = history.last().map_or(1, |report| report.step.max(1)) as f64;

    let root = SVGBackend::with_string(text, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(
            format!("{name}: bits per byte of the answers"),
            ("sans-serif", 22),
        )
        .margin(16)
        .x_label_area_size(48)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..steps, (lowest..highest).log_scale().base(2.0))?;
    chart
        .configure_mesh()
        .x_desc("steps")
        .y_desc("bits per byte, logarithmic")
        .x_label_formatter(&|step| format!("{step:.0}"))
        .y_label_formatter(&|bits| match *bits {
            bits if bits >= 0.9 => format!("{bits:.0}"),
            bits => format!("{bits:.4}").trim_end_matches('0').to_owned(),
        })
        .y_labels(12)
        .label_style(("sans-serif", 14))
        .light_line_style(BLACK.mix(0.06))
        .bold_line_style(BLACK.mix(0.15))
        .draw()?;
    for ((label, value), color) in lines.into_iter().zip(COLORS) {
        let points = points(value);
        if points.is_empty() {
            continue;
        }
        let style = color.stroke_width(2);
        chart
            .draw_series(LineSeries::new(points, style))?
            .label(label)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 24, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .margin(12)
        .legend_area_size(32)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.3))
        .label_font(("sans-serif", 14))
        .draw()?;
    root.present()?;
    Ok(())
}
