//! Text in columns.

/// Rows under a heading, each column as wide as its widest cell, without blanks at the ends of lines.
pub fn table(heading: &[&str], rows: &[Vec<String>]) -> String {
    let mut lines: Vec<Vec<&str>> = vec![heading.to_vec()];
    lines.extend(rows.iter().map(|r| r.iter().map(String::as_str).collect()));
    let width = |i: usize| {
        let cells = lines.iter().filter_map(|line| line.get(i));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heading.len()).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let cells = line.iter().zip(&widths);
        let row: String = cells
            .map(|(cell, width)| format!("{cell:<width$}   "))
            .collect();
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}

/// The cell of what is not there.
pub fn or_dash(text: Option<&str>) -> String {
    text.filter(|t| !t.is_empty()).unwrap_or("-").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [
            vec!["ü".into(), "x".into()],
            vec!["long".into(), String::new()],
        ];
        assert_eq!(table(&["A", "B"], &rows), "A      B\nü      x\nlong\n");
    }
}
