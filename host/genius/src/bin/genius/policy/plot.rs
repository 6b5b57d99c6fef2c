//! A simulation as a picture: models in memory, and below them queue and memory over time.

use super::simulate::Run;
use super::{Failure, host, table, time_axis};
use indicatif::{HumanBytes, HumanCount};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use rusty_genius::core::brainstem::Residency;
use rusty_genius::stem::simulation::{Interval, ModelOutcome, Outcome, Point};
use std::time::Duration;

/// Readable beside each other and for the colour-blind (Okabe and Ito).
const RESIDENT: RGBColor = RGBColor(86, 180, 233);
const LOADING: RGBColor = RGBColor(213, 94, 0);
const HIBERNATING: RGBColor = RGBColor(0, 158, 115);
const LINE: RGBColor = RGBColor(0, 114, 178);
const FAINT: RGBColor = RGBColor(225, 225, 225);
const GREY: RGBColor = RGBColor(90, 90, 90);

const WIDTH: i32 = 1120;
/// Where the time's axis begins and ends.
const LEFT: i32 = 150;
const RIGHT: i32 = WIDTH - 24;
const COLUMNS: usize = (RIGHT - LEFT) as usize;
const TITLE: i32 = 62;
const CURVE: i32 = 110;
const GAP: i32 = 34;
const AXIS: i32 = 44;
/// Rows are as high as these allow.
const ROWS_HEIGHT: i32 = 640;
const ROW: std::ops::RangeInclusive<i32> = 10..=22;
/// Most models of a picture: those that were used most.
const MODELS_LIMIT: usize = 64;

type Drawn = Result<(), DrawingAreaErrorKind<<SVGBackend<'static> as DrawingBackend>::ErrorType>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// One picture, with the policies below each other.
pub(super) fn svg(runs: &[Run]) -> Result<String, Failure> {
    let mut text = String::new();
    draw(runs, &mut text).map_err(|e| host("drawing the plot".to_owned(), &e))?;
    text.push('\n');
    Ok(text)
}

fn draw(runs: &[Run], text: &mut String) -> Drawn {
    let ends = runs.iter().map(|run| run.outcome.span);
    let end = ends.max().unwrap_or_default().max(Duration::from_secs(1));
    let panels: Vec<Panel<'_>> = runs.iter().map(|run| Panel::new(run, end)).collect();
    let height: i32 = panels.iter().map(Panel::height).sum();
    let root = SVGBackend::with_string(text, (WIDTH as u32, height as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut top = 0;
    for panel in &panels {
        panel.draw(&root, top)?;
        top += panel.height();
    }
    root.present()
}

/// A policy's part of the picture.
struct Panel<'a> {
    run: &'a Run,
    models: Vec<&'a ModelOutcome>,
    row: i32,
    end: Duration,
}

impl<'a> Panel<'a> {
    fn new(run: &'a Run, end: Duration) -> Self {
        let mut models: Vec<_> = run.outcome.models.iter().enumerate().collect();
        if models.len() > MODELS_LIMIT {
            models.sort_by_key(|(n, model)| (std::cmp::Reverse(model.generations), *n));
            models.truncate(MODELS_LIMIT);
            models.sort_by_key(|(n, _)| *n);
        }
        let count = i32::try_from(models.len().max(1)).unwrap_or(i32::MAX);
        Self {
            run,
            models: models.into_iter().map(|(_, model)| model).collect(),
            row: (ROWS_HEIGHT / count).clamp(*ROW.start(), *ROW.end()),
            end,
        }
    }

    fn rows_height(&self) -> i32 {
        self.row * i32::try_from(self.models.len()).unwrap_or(0)
    }

    fn height(&self) -> i32 {
        TITLE + self.rows_height() + 2 * (GAP + CURVE) + AXIS
    }

    fn x(&self, at: Duration) -> i32 {
        LEFT + (self.column(at) as i32).min(RIGHT - LEFT)
    }

    fn column(&self, at: Duration) -> f64 {
        at.as_secs_f64() / self.end.as_secs_f64() * COLUMNS as f64
    }

    fn draw(&self, root: &Area<'_>, top: i32) -> Drawn {
        self.title(root, top)?;
        let rows = top + TITLE;
        let queue = rows + self.rows_height() + GAP;
        let memory = queue + CURVE + GAP;
        self.time_axis(root, rows, memory + CURVE)?;
        self.rows(root, rows)?;
        let outcome = &self.run.outcome;
        let most = f64::from(outcome.longest_queue).max(1.0);
        self.curve(root, queue, "queue", most, |p| f64::from(p.queue))?;
        label(
            root,
            (LEFT - 8, queue + 5),
            right(),
            &count(outcome.longest_queue),
        )?;

        let limit = outcome.memory_limit.map(|bytes| bytes as f64);
        let most = limit
            .unwrap_or(0.0)
            .max(outcome.memory_high as f64)
            .max(1.0);
        self.curve(root, memory, "memory", most, |p| p.memory as f64)?;
        let told = HumanBytes(most as u64).to_string();
        label(root, (LEFT - 8, memory + 5), right(), &told)?;
        if limit.is_some() {
            self.limit(root, memory)?;
        }
        Ok(())
    }

    fn title(&self, root: &Area<'_>, top: i32) -> Drawn {
        let title = ("sans-serif", 19).into_font().color(&BLACK);
        let name: String = self
            .run
            .word
            .chars()
            .filter(|c| !c.is_control())
            .take(60)
            .collect();
        root.draw(&Text::new(name, (16, top + 14), title))?;
        label(root, (16, top + 46), left(), &summary(&self.run.outcome))?;
        let legend = [
            (LOADING, "loading, or waiting for room"),
            (RESIDENT, "in memory"),
            (HIBERNATING, "hibernating"),
        ];
        let width = |words: &str| 20 + 6 * i32::try_from(words.len()).unwrap_or(0);
        let mut x = RIGHT
            - legend
                .iter()
                .map(|(_, words)| width(words) + 22)
                .sum::<i32>();
        for (color, words) in legend {
            x += 22;
            rectangle(root, (x, top + 20), (x + 14, top + 31), color)?;
            label(root, (x + 20, top + 26), left(), words)?;
            x += width(words);
        }
        if self.models.len() < self.run.outcome.models.len() {
            let (shown, all) = (self.models.len(), self.run.outcome.models.len());
            let words = format!("the {shown} of {all} models that were used most");
            label(root, (RIGHT, top + 46), right(), &words)?;
        }
        Ok(())
    }

    fn time_axis(&self, root: &Area<'_>, top: i32, bottom: i32) -> Drawn {
        for (at, words) in time_axis::marks(self.end) {
            let x = self.x(at);
            root.draw(&PathElement::new([(x, top), (x, bottom + 5)], FAINT))?;
            label(root, (x, bottom + 16), centre(), &words)?;
        }
        Ok(())
    }

    fn rows(&self, root: &Area<'_>, top: i32) -> Drawn {
        let mut y = top;
        for model in &self.models {
            let name = shortened(&model.name);
            label(root, (LEFT - 8, y + self.row / 2), right(), &name)?;
            for (color, from, to) in self.paint(&model.intervals) {
                let (from, to) = (LEFT + from as i32, LEFT + to as i32);
                rectangle(root, (from, y + 1), (to, y + self.row - 1), color)?;
            }
            y += self.row;
        }
        let base = [(LEFT, y), (RIGHT, y)];
        root.draw(&PathElement::new(base, GREY))
    }

    /// What colour is where in a row. A load is seen, however short it was; saving is not
    /// where a column is too narrow for it.
    fn paint(&self, intervals: &[Interval]) -> Vec<(RGBColor, usize, usize)> {
        let mut columns = vec![None; COLUMNS];
        for (residency, color) in [
            (Residency::Hibernating, HIBERNATING),
            (Residency::Resident, RESIDENT),
            (Residency::Loading, LOADING),
        ] {
            for interval in intervals.iter().filter(|i| i.residency == residency) {
                let from = self.column(interval.from) as usize;
                let to = (self.column(interval.to).ceil() as usize).min(COLUMNS);
                if let Some(columns) = columns.get_mut(from..to) {
                    columns.fill(Some(color));
                }
            }
        }
        let mut runs: Vec<(RGBColor, usize, usize)> = Vec::new();
        for (n, color) in columns.into_iter().enumerate() {
            let Some(color) = color else { continue };
            match runs.last_mut() {
                Some((last, _, to)) if *last == color && *to == n => *to = n + 1,
                _ => runs.push((color, n, n + 1)),
            }
        }
        runs
    }

    /// A stepped curve in a box, with its greatest value at the top.
    fn curve(
        &self,
        root: &Area<'_>,
        top: i32,
        name: &str,
        most: f64,
        value: impl Fn(&Point) -> f64,
    ) -> Drawn {
        let bottom = top + CURVE;
        let y = |value: f64| bottom - (value / most * f64::from(CURVE)).round() as i32;
        let mut line = vec![(LEFT, bottom)];
        for point in self.run.outcome.series.iter().filter(|p| p.at <= self.end) {
            let (x, y) = (self.x(point.at), y(value(point)));
            let before = line.last().map_or(bottom, |(_, y)| *y);
            if before != y {
                line.extend([(x, before), (x, y)]);
            }
        }
        let last = line.last().map_or(bottom, |(_, y)| *y);
        let span = self.x(self.run.outcome.span);
        line.extend([(span, last), (span, bottom)]);
        root.draw(&Polygon::new(line.clone(), LINE.mix(0.25)))?;
        root.draw(&PathElement::new(line, LINE))?;
        root.draw(&PathElement::new([(LEFT, bottom), (RIGHT, bottom)], GREY))?;
        label(root, (LEFT - 8, top + CURVE / 2), right(), name)?;
        label(root, (LEFT - 8, bottom - 5), right(), "0")
    }

    /// The limit of memory: the box's upper end.
    fn limit(&self, root: &Area<'_>, top: i32) -> Drawn {
        let mut x = LEFT;
        while x < RIGHT {
            let dash = [(x, top), ((x + 6).min(RIGHT), top)];
            root.draw(&PathElement::new(dash, LOADING.stroke_width(2)))?;
            x += 11;
        }
        label(root, (RIGHT, top - 9), right(), "limit")
    }
}

fn summary(outcome: &Outcome) -> String {
    let rejected: u64 = outcome.rejected.values().sum();
    format!(
        "{} requests, {} answered, {} rejected; wait p50 {}, p99 {}; {} loads, {} evictions",
        HumanCount(outcome.requests),
        HumanCount(outcome.answered),
        HumanCount(rejected),
        table::time(outcome.wait.p50),
        table::time(outcome.wait.p99),
        HumanCount(outcome.loads),
        HumanCount(outcome.evictions),
    )
}

fn count(n: u32) -> String {
    HumanCount(n.into()).to_string()
}

/// Of a long name the end tells more: quant and engine.
fn shortened(name: &str) -> String {
    const MOST: usize = 21;
    let chars = name.chars().count();
    match chars > MOST {
        true => format!(
            "…{}",
            name.chars().skip(chars - MOST + 1).collect::<String>()
        ),
        false => name.to_owned(),
    }
}

fn left() -> Pos {
    Pos::new(HPos::Left, VPos::Center)
}

fn right() -> Pos {
    Pos::new(HPos::Right, VPos::Center)
}

fn centre() -> Pos {
    Pos::new(HPos::Center, VPos::Center)
}

fn label(root: &Area<'_>, at: (i32, i32), pos: Pos, words: &str) -> Drawn {
    let style = ("sans-serif", 12).into_font().color(&GREY).pos(pos);
    root.draw(&Text::new(words.to_owned(), at, style))
}

fn rectangle(root: &Area<'_>, from: (i32, i32), to: (i32, i32), color: RGBColor) -> Drawn {
    root.draw(&Rectangle::new([from, to], color.filled()))
}
