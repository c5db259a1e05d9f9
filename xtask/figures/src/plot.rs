//! A plot as SVG: the same for the same plot, and drawn without the fonts of this host.

use anyhow::{Result, anyhow};
use plotters::{coord::Shift, prelude::*};

use crate::{
    part::{Plot, Series},
    ticks::Scale,
};

/// Pixels from left to right, and downwards.
const SIZE: (u32, u32) = (860, 440);
/// Pixels on the left, for the curves; the rest tells whose they are.
const CURVES: i32 = 640;
/// Pixels from one name to the next.
const NAME: i32 = 22;
/// Whatever has letters takes those that the reader has.
const FONT: &str = "sans-serif";
/// Letters are so many pixels high.
const LETTERS: i32 = 13;
/// What the colour-blind tell apart too (Okabe and Ito, 2008), but for its yellow: that is too pale on white.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws a plot, on white: it is to be read on a dark page too. What cannot stand on an axis, such as what never came
/// or a zero where steps multiply, is a gap in its curve.
///
/// # Errors
/// Those of the library that draws.
pub fn svg(plot: &Plot) -> Result<String> {
    let mut text = String::new();
    let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
    draw(plot, &area).map_err(|error| anyhow!("the plot \"{}\": {error}", plot.title))?;
    // It holds the text.
    drop(area);
    Ok(text)
}

type Drawn<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

fn draw<'a>(plot: &Plot, area: &Area<'a>) -> Drawn<'a> {
    area.fill(&WHITE)?;
    let (curves, names) = area.split_horizontally(CURVES);
    let points = || plot.series.iter().flat_map(|series| &series.points);
    let x = Scale::new(&plot.x, points().map(|(x, _)| *x));
    let y = Scale::new(&plot.y, points().map(|(_, y)| *y));
    let mut chart = ChartBuilder::on(&curves)
        .caption(&plot.title, (FONT, LETTERS + 3))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(84)
        .build_cartesian_2d(x.clone(), y.clone())?;
    chart
        .configure_mesh()
        .x_desc(&plot.x.label)
        .y_desc(&plot.y.label)
        .x_label_formatter(&|position| x.label(*position))
        .y_label_formatter(&|position| y.label(*position))
        .label_style((FONT, LETTERS))
        .bold_line_style(BLACK.mix(0.15))
        .light_line_style(TRANSPARENT)
        .draw()?;
    for ((place, series), colour) in (0..).zip(&plot.series).zip(COLOURS.iter().cycle()) {
        let radius = radius(place, plot.series.len());
        for run in runs(series, &x, &y) {
            chart.draw_series(LineSeries::new(run.iter().copied(), colour.stroke_width(2)))?;
            chart.draw_series(
                run.iter().map(|point| Circle::new(*point, radius, colour.filled())),
            )?;
        }
    }
    name(&plot.series, &names)?;
    area.present()
}

/// Whose each curve is, in the order of the curves.
fn name<'a>(series: &[Series], area: &Area<'a>) -> Drawn<'a> {
    let count = series.len();
    for ((place, series), colour) in (0..).zip(series).zip(COLOURS.iter().cycle()) {
        let y = (2 + place) * NAME;
        area.draw(&PathElement::new([(4, y), (24, y)], colour.stroke_width(2)))?;
        area.draw(&Circle::new((14, y), radius(place, count), colour.filled()))?;
        let text = (30, y - LETTERS / 2);
        area.draw(&Text::new(series.name.as_str(), text, (FONT, LETTERS)))?;
    }
    Ok(())
}

/// Pixels from the middle of a point to its edge. Curves are drawn one over the other: where one covers another, the
/// edge of that is still seen.
const fn radius(place: i32, count: usize) -> i32 {
    3 + (count as i32 - 1 - place) / 2
}

/// The positions of a curve, in runs without a gap.
fn runs(series: &Series, x: &Scale, y: &Scale) -> Vec<Vec<(f64, f64)>> {
    let place = |(across, up): &(f64, f64)| Some((x.position(*across)?, y.position(*up)?));
    let places: Vec<Option<(f64, f64)>> = series.points.iter().map(place).collect();
    let runs = places.split(Option::is_none).filter(|run| !run.is_empty());
    runs.map(|run| run.iter().copied().flatten().collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Axis, Unit};

    fn plot() -> Plot {
        let axis =
            |label: &str, unit, logarithmic| Axis { label: label.to_owned(), unit, logarithmic };
        let series = |name: &str, points: &[(f64, f64)]| Series {
            name: name.to_owned(),
            points: points.to_vec(),
        };
        Plot {
            title: "Time until loss is seen".to_owned(),
            x: axis("loss that begins", Unit::Share, true),
            y: axis("median", Unit::Seconds, true),
            series: vec![
                series("balanced", &[(0.02, 100.0), (0.2, 1.0), (1.0, 0.4)]),
                series("BFD x3 <at 10 Hz>", &[(0.02, f64::INFINITY), (0.2, 30.0), (1.0, 0.3)]),
            ],
        }
    }

    #[test]
    fn a_plot_has_its_names_and_labels() {
        let svg = svg(&plot()).unwrap();
        let words = ["Time until loss is seen", "loss that begins", "median", "balanced"];
        let words = words.into_iter().chain(["BFD x3 &lt;at 10 Hz&gt;", "20 %", "100 s", "1 s"]);
        for word in words {
            assert!(svg.contains(&format!("\n{word}\n")), "{word} is not in\n{svg}");
        }
        assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"), "{svg}");
        assert!(svg.contains("fill=\"#FFFFFF\""), "it is not on white:\n{svg}");
    }

    #[test]
    fn the_same_plot_is_drawn_the_same() {
        assert_eq!(svg(&plot()).unwrap(), svg(&plot()).unwrap());
    }

    #[test]
    fn what_never_came_is_a_gap() {
        let with = |points: &[(f64, f64)]| {
            let mut plot = plot();
            plot.series.truncate(1);
            plot.series[0].points = points.to_vec();
            // The frame of the axes is of lines of their own.
            let svg = svg(&plot).unwrap();
            (svg.matches("#0072B2").count(), svg)
        };
        // A line and a point for the name, and two lines of two points each.
        let (marks, svg) =
            with(&[(0.02, 9.0), (0.05, 4.0), (0.1, f64::INFINITY), (0.2, 2.0), (1.0, 1.0)]);
        assert_eq!(marks, 2 + 2 + 4, "{svg}");
        assert_eq!(with(&[(0.02, 9.0), (0.05, 4.0), (0.2, 2.0), (1.0, 1.0)]).0, 2 + 1 + 4);
    }

    #[test]
    fn a_plot_without_a_point_is_drawn() {
        let mut plot = plot();
        plot.series.iter_mut().for_each(|series| series.points.clear());
        assert!(svg(&plot).unwrap().contains("balanced"));
        plot.series.clear();
        assert!(svg(&plot).is_ok());
    }
}
