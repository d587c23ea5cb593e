//! A sheet of terminal cells that lines are drawn on, several dots a cell.

/// What a terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marks {
    /// Braille letters: 2 × 4 dots a cell.
    Braille,
    /// Half blocks, which the console of a machine without a desktop has too: 1 × 2 dots a cell.
    Block,
    /// Nothing but ASCII: 1 × 2 dots a cell, as `'`, `.` and `:`.
    Ascii,
}

/// One letter a series, where neither colour nor shape tells them apart.
pub const LETTERS: [char; super::MOST_SERIES] = ['*', '+', 'o', 'x', '#', '@'];

#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    /// Bit `x + y × dots across`.
    dots: u8,
    /// Who drew here last.
    series: usize,
}

/// The sheet.
#[derive(Debug)]
pub struct Canvas {
    marks: Marks,
    /// Draw letters, one a cell.
    letters: bool,
    columns: usize,
    rows: usize,
    cells: Vec<Cell>,
}

impl Canvas {
    /// An empty sheet. With `letters` each series has its own and a cell is one dot.
    pub fn new(marks: Marks, letters: bool, columns: usize, rows: usize) -> Self {
        Self { marks, letters, columns, rows, cells: vec![Cell::default(); columns * rows] }
    }

    /// Dots across and down in a cell.
    fn grid(&self) -> (usize, usize) {
        match self.marks {
            _ if self.letters => (1, 1),
            Marks::Braille => (2, 4),
            Marks::Block | Marks::Ascii => (1, 2),
        }
    }

    /// Draws a line through corners (0…1 from the left, 0…1 from the bottom), or a dot for one corner.
    pub fn line(&mut self, series: usize, corners: &[(f64, f64)]) {
        let (across, down) = self.grid();
        let (width, height) = ((self.columns * across) as f64 - 1.0, (self.rows * down) as f64 - 1.0);
        let place = |(x, y): &(f64, f64)| (x * width, (1.0 - y) * height);
        let mut before = None;
        for corner in corners {
            let (x, y) = place(corner);
            let (from_x, from_y) = before.replace((x, y)).unwrap_or((x, y));
            let steps = (x - from_x).abs().max((y - from_y).abs()).ceil().max(1.0);
            for step in 0..=steps as usize {
                let part = step as f64 / steps;
                self.dot(series, from_x + (x - from_x) * part, from_y + (y - from_y) * part);
            }
        }
    }

    fn dot(&mut self, series: usize, x: f64, y: f64) {
        let (across, down) = self.grid();
        if x.round() < 0.0 || y.round() < 0.0 {
            return;
        }
        let (x, y) = (x.round() as usize, y.round() as usize);
        let (column, row) = (x / across, y / down);
        if column >= self.columns || row >= self.rows {
            return;
        }
        if let Some(cell) = self.cells.get_mut(row * self.columns + column) {
            cell.dots |= 1 << (x % across + y % down * across);
            cell.series = series;
        }
    }

    /// One row of cells: what to write, and who drew it (`None` for nothing).
    pub fn row(&self, row: usize) -> impl Iterator<Item = (char, Option<usize>)> + '_ {
        let cells = self.cells.iter().skip(row * self.columns).take(self.columns);
        cells.map(|cell| match cell.dots {
            0 => (' ', None),
            _ => (self.letter(*cell), Some(cell.series)),
        })
    }

    fn letter(&self, cell: Cell) -> char {
        match self.marks {
            _ if self.letters => LETTERS.get(cell.series).copied().unwrap_or('?'),
            Marks::Braille => braille(cell.dots),
            Marks::Block => ['▀', '▄', '█'][usize::from(cell.dots - 1) % 3],
            Marks::Ascii => ['\'', '.', ':'][usize::from(cell.dots - 1) % 3],
        }
    }
}

/// Unicode numbers the dots of a cell down the left column, down the right, and the fourth row last.
fn braille(dots: u8) -> char {
    const BITS: [u32; 8] = [0x01, 0x08, 0x02, 0x10, 0x04, 0x20, 0x40, 0x80];
    let pattern: u32 = (0..8).filter(|bit| dots & (1 << bit) != 0).map(|bit| BITS[bit]).sum();
    char::from_u32(0x2800 + pattern).unwrap_or(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(canvas: &Canvas) -> Vec<String> {
        (0..canvas.rows).map(|row| canvas.row(row).map(|(letter, _)| letter).collect()).collect()
    }

    #[test]
    fn a_diagonal_in_every_way() {
        let table = [
            (Marks::Braille, false, [" ⢀⠎", "⡰⠁ "]),
            (Marks::Block, false, [" ▄▀", "▄▀ "]),
            (Marks::Ascii, false, [" .'", ".' "]),
            (Marks::Braille, true, ["  *", "** "]),
        ];
        for (marks, letters, expected) in table {
            let mut canvas = Canvas::new(marks, letters, 3, 2);
            canvas.line(0, &[(0.0, 0.0), (1.0, 1.0)]);
            assert_eq!(drawn(&canvas), expected, "{marks:?}");
        }
    }

    #[test]
    fn braille_dots_stand_where_they_were_drawn() {
        let mut canvas = Canvas::new(Marks::Braille, false, 1, 1);
        for (x, y, expected) in [(0.0, 1.0, '⠁'), (1.0, 1.0, '⠉'), (0.0, 0.0, '⡉'), (1.0, 0.0, '⣉')] {
            canvas.line(0, &[(x, y)]);
            assert_eq!(drawn(&canvas), [expected.to_string()]);
        }
    }

    #[test]
    fn what_lies_outside_is_left_out() {
        let mut canvas = Canvas::new(Marks::Ascii, false, 2, 1);
        canvas.line(0, &[(-5.0, 0.5), (9.0, -3.0)]);
        canvas.line(0, &[(f64::NAN, 0.5)]);
        assert_eq!(drawn(&canvas).len(), 1);
    }
}
