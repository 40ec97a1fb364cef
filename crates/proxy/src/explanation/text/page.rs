//! Lines, columns and colours.

/// Whether escape sequences may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// For terminals.
    On,
    /// For everything else.
    Off,
}

/// How a text stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ink {
    Plain,
    Bold,
    Dim,
    Green,
    Yellow,
    Red,
}

/// A line of a table.
pub(super) type Row<const N: usize> = [(String, Ink); N];

/// A row without colours.
pub(super) fn plain<const N: usize>(cells: [String; N]) -> Row<N> {
    cells.map(|text| (text, Ink::Plain))
}

/// Text as it grows.
pub(super) struct Page {
    out: String,
    color: Color,
    step: usize,
}

impl Page {
    pub(super) const fn new(color: Color) -> Self {
        Self { out: String::new(), color, step: 0 }
    }

    pub(super) fn finish(self) -> String {
        self.out
    }

    pub(super) const fn is_colored(&self) -> bool {
        matches!(self.color, Color::On)
    }

    pub(super) fn line(&mut self, indent: usize, text: &str) {
        self.out.push_str(&" ".repeat(indent));
        self.out.push_str(text.trim_end());
        self.out.push('\n');
    }

    pub(super) fn empty_line(&mut self) {
        self.out.push('\n');
    }

    pub(super) fn step(&mut self, word: &str, text: &str) {
        self.step += 1;
        let head = self.paint(Ink::Bold, &format!("{}. {word:<9}", self.step));
        self.line(0, &format!("{head} {text}"));
    }

    pub(super) fn notes(&mut self, notes: &[String]) {
        for note in notes {
            self.line(0, &format!("{}: {note}", self.paint(Ink::Yellow, "note")));
        }
    }

    /// Columns below each other; the last one is as wide as it likes.
    pub(super) fn table<const N: usize>(&mut self, indent: usize, rows: &[Row<N>]) {
        let mut widths = [0; N];
        for row in rows {
            for (width, (text, _)) in widths.iter_mut().zip(row) {
                // What is wider sticks out rather than pushing all others away.
                *width = Some(text.chars().count()).filter(|count| *count <= WIDEST).unwrap_or_default().max(*width);
            }
        }
        for row in rows {
            let last = row.iter().rposition(|(text, _)| !text.is_empty()).unwrap_or_default();
            let mut line = String::new();
            for (index, ((text, ink), width)) in row.iter().zip(widths).enumerate().take(last + 1) {
                let gap = if width == 0 { "" } else { "  " };
                let padded = if index == last { text.clone() } else { format!("{text:<width$}{gap}") };
                line.push_str(&self.paint(*ink, &padded));
            }
            self.line(indent, &line);
        }
    }

    pub(super) fn paint(&self, ink: Ink, text: &str) -> String {
        let code = match ink {
            Ink::Bold => "1",
            Ink::Dim => "2",
            Ink::Green => "32",
            Ink::Yellow => "33",
            Ink::Red => "31",
            Ink::Plain => return text.to_owned(),
        };
        match self.color {
            Color::On if !text.is_empty() => format!("\x1b[{code}m{text}\x1b[0m"),
            Color::On | Color::Off => text.to_owned(),
        }
    }
}

/// The widest column.
const WIDEST: usize = 60;
