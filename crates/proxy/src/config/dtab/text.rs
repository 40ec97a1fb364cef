//! Where the parts of rules stand in their text: leaves, weights, comments. Only for texts that parse: what is wrong
//! with one is the parser's to tell.

use waypost_naming::Span;

/// A part of the text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Token {
    kind: Kind,
    span: Span,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Path,
    Number,
    Arrow,
    /// `;`
    End,
    /// `&`
    And,
    /// `|`
    Or,
    Open,
    Close,
    /// `*`, `~`, `!`, `$`, and what does not belong here.
    Other,
    Comment,
}

/// A rule's parts.
#[derive(Clone, PartialEq, Debug, Default)]
pub(in crate::config) struct Rule {
    pub(in crate::config) prefix: Span,
    /// The paths of its tree, left to right.
    pub(in crate::config) leaves: Vec<Span>,
    pub(in crate::config) weights: Vec<Weight>,
}

/// A weight as it is written.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(in crate::config) struct Weight {
    pub(in crate::config) span: Span,
    pub(in crate::config) value: f64,
    /// There is nothing that shares with what it weighs.
    pub(in crate::config) alone: bool,
    /// All that share have the same weight, 0.
    pub(in crate::config) among_zeros: bool,
}

/// All rules and comments of a text.
#[derive(Clone, PartialEq, Debug, Default)]
pub(in crate::config) struct Parts {
    /// In the order of the text.
    pub(in crate::config) rules: Vec<Rule>,
    pub(in crate::config) comments: Vec<Comment>,
}

/// A comment, from its `#` on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::config) struct Comment {
    pub(in crate::config) span: Span,
    /// The rule that has begun before it and is not ended.
    pub(in crate::config) within: Option<usize>,
}

impl Parts {
    pub(in crate::config) fn of(text: &str) -> Self {
        let mut parts = Self::default();
        let mut open = OpenRule::default();
        let mut at = 0;
        while let Some(token) = next(text, at) {
            at = token.span.end;
            match token.kind {
                Kind::Comment => {
                    let within = open.begun.then_some(parts.rules.len());
                    parts.comments.push(Comment { span: token.span, within });
                }
                Kind::End => parts.rules.extend(std::mem::take(&mut open).ended()),
                Kind::Path
                | Kind::Number
                | Kind::Arrow
                | Kind::And
                | Kind::Or
                | Kind::Open
                | Kind::Close
                | Kind::Other => open.push(token, text),
            }
        }
        parts.rules.extend(open.ended());
        parts
    }
}

/// A rule being read.
#[derive(Default)]
struct OpenRule {
    rule: Rule,
    begun: bool,
    /// Members of the union that is being read, for each open parenthesis.
    unions: Vec<Members>,
}

/// Members between two `|`.
#[derive(Clone, Default)]
struct Members {
    /// How many there are but the first.
    joined: usize,
    /// Places in the list of weights.
    weights: Vec<usize>,
}

impl OpenRule {
    fn push(&mut self, token: Token, text: &str) {
        if !self.begun {
            self.begun = true;
            self.rule.prefix = token.span;
            self.unions.push(Members::default());
            return;
        }
        match token.kind {
            Kind::Path => self.rule.leaves.push(token.span),
            Kind::Number => self.weigh(token.span, text),
            Kind::And => {
                if let Some(members) = self.unions.last_mut() {
                    members.joined += 1;
                }
            }
            Kind::Or => {
                self.close();
                self.unions.push(Members::default());
            }
            Kind::Open => self.unions.push(Members::default()),
            Kind::Close => self.close(),
            Kind::Arrow | Kind::End | Kind::Other | Kind::Comment => {}
        }
    }

    fn weigh(&mut self, span: Span, text: &str) {
        let value = text.get(span.start..span.end).and_then(|text| text.parse().ok()).unwrap_or(1.0);
        if let Some(members) = self.unions.last_mut() {
            members.weights.push(self.rule.weights.len());
        }
        self.rule.weights.push(Weight { span, value, alone: false, among_zeros: false });
    }

    fn close(&mut self) {
        let Some(members) = self.unions.pop() else { return };
        let zero = |weight: &&usize| self.rule.weights.get(**weight).is_some_and(|weight| is_zero(weight.value));
        let zeros = members.weights.iter().filter(zero).count();
        for weight in &members.weights {
            if let Some(weight) = self.rule.weights.get_mut(*weight) {
                weight.alone = members.joined == 0;
                weight.among_zeros = zeros == members.joined + 1;
            }
        }
    }

    fn ended(mut self) -> Option<Rule> {
        self.close();
        self.begun.then_some(self.rule)
    }
}

pub(in crate::config) fn is_zero(weight: f64) -> bool {
    weight.abs() < f64::MIN_POSITIVE
}

/// The token that begins at `at` or behind the space that is there.
fn next(text: &str, at: usize) -> Option<Token> {
    let rest = text.get(at..)?;
    let blank = rest.find(|character| !is_blank(character))?;
    let start = at + blank;
    let rest = rest.get(blank..)?;
    let (kind, length) = match rest.chars().next()? {
        '#' => (Kind::Comment, rest.find('\n').unwrap_or(rest.len())),
        '/' => (Kind::Path, path(rest)),
        '=' if rest.starts_with("=>") => (Kind::Arrow, 2),
        ';' => (Kind::End, 1),
        '&' => (Kind::And, 1),
        '|' => (Kind::Or, 1),
        '(' => (Kind::Open, 1),
        ')' => (Kind::Close, 1),
        '0'..='9' | '.' => {
            (Kind::Number, rest.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count())
        }
        other => (Kind::Other, other.len_utf8()),
    };
    Some(Token { kind, span: Span::new(start, start + length) })
}

/// The length of the path or prefix that `text` begins with.
fn path(text: &str) -> usize {
    let mut before = ' ';
    let ends = text.find(|character: char| {
        let fits = character.is_ascii_alphanumeric()
            || "/\\_:.#$%-".contains(character)
            || (character == '*' && before == '/');
        before = character;
        !fits
    });
    ends.unwrap_or(text.len())
}

/// What the parser of dtabs skips.
fn is_blank(character: char) -> bool {
    match character {
        '\u{85}' | '\u{a0}' | '\u{2007}' | '\u{202f}' => false,
        '\u{1c}'..='\u{1f}' => true,
        other => other.is_whitespace(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use waypost_naming::Dtab;

    use super::*;

    #[test]
    fn leaves_and_weights_are_found_where_they_stand() {
        let text = "/a/* => 0.5 * /b & (/c | 2*/d#x) # /e\n | ~ ;\n/f=>/g; # end";
        let parts = Parts::of(text);
        let at = |span: Span| &text[span.start..span.end];

        let rules: Vec<(&str, Vec<&str>)> = parts
            .rules
            .iter()
            .map(|rule| (at(rule.prefix), rule.leaves.iter().map(|leaf| at(*leaf)).collect()))
            .collect();
        assert_eq!(rules, [("/a/*", vec!["/b", "/c", "/d#x"]), ("/f", vec!["/g"])]);
        let weights: Vec<_> = parts.rules[0].weights.iter().map(|weight| (at(weight.span), weight.alone)).collect();
        assert_eq!(weights, [("0.5", false), ("2", true)]);
        let comments: Vec<_> = parts.comments.iter().map(|comment| (at(comment.span), comment.within)).collect();
        assert_eq!(comments, [("# /e", Some(0)), ("# end", None)]);
    }

    #[test]
    fn weights_know_what_shares_with_them() {
        for (text, expected) in [
            ("/a => 0 * /b & /c", vec![(false, false)]),
            ("/a => 0 * /b & 0.0 * /c", vec![(false, true), (false, true)]),
            ("/a => 0.1 * /b | 0.9 * /c", vec![(true, false), (true, false)]),
            ("/a => 0 * /b", vec![(true, true)]),
            ("/a => 2 * (/b & /c) & /d", vec![(false, false)]),
        ] {
            let parts = Parts::of(text);
            let weights: Vec<_> =
                parts.rules[0].weights.iter().map(|weight| (weight.alone, weight.among_zeros)).collect();
            assert_eq!(weights, expected, "{text}");
        }
    }

    proptest! {
        /// Of any text that is a dtab: as many rules and leaves as the parser finds, and the same paths.
        #[test]
        fn parts_are_those_of_the_parser(text in "(/[a#$*.]{1,2} ?=> ?[/|&~!$().0-9* #\na-c]{0,12};?[\n ]?){0,4}") {
            if let Ok(dtab) = Dtab::parse(&text) {
                let parts = Parts::of(&text);
                prop_assert_eq!(parts.rules.len(), dtab.len());
                for (rule, dentry) in parts.rules.iter().zip(dtab.dentries()) {
                    let leaves: Vec<String> =
                        rule.leaves.iter().map(|leaf| text[leaf.start..leaf.end].to_owned()).collect();
                    let parsed: Vec<String> = dentry.tree.leaves().iter().map(ToString::to_string).collect();
                    prop_assert_eq!(leaves, parsed);
                    prop_assert_eq!(rule.prefix.start, dentry.span.start);
                }
            }
        }
    }
}
