//! How fast something grows: the exponent `e` of `value = c * paths^e`.

/// That of the line through two points, each the number of paths and a value.
pub(super) fn between((x1, y1): (f64, f64), (x2, y2): (f64, f64)) -> f64 {
    (y2 / y1).ln() / (x2 / x1).ln()
}

/// That of all points, by least squares of the logarithms; none where there are fewer than two numbers of paths.
pub(super) fn fit(points: &[(f64, f64)]) -> Option<f64> {
    let logs: Vec<(f64, f64)> = points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
    let count = logs.len() as f64;
    let x_mean = logs.iter().map(|(x, _)| x).sum::<f64>() / count;
    let y_mean = logs.iter().map(|(_, y)| y).sum::<f64>() / count;
    let both: f64 = logs.iter().map(|(x, y)| (x - x_mean) * (y - y_mean)).sum();
    let square: f64 = logs.iter().map(|(x, _)| (x - x_mean).powi(2)).sum();
    (square > 0.0).then(|| both / square)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_has_its_exponent() {
        let points = [10.0, 100.0, 300.0].map(|x: f64| (x, 5.0 * x.powf(1.5)));
        assert!((fit(&points).unwrap() - 1.5).abs() < 1e-9);
        assert!((between(points[0], points[2]) - 1.5).abs() < 1e-9);
    }

    #[test]
    fn one_number_of_paths_has_no_exponent() {
        assert_eq!(fit(&[(10.0, 1.0), (10.0, 2.0)]), None);
        assert_eq!(fit(&[]), None);
    }
}
