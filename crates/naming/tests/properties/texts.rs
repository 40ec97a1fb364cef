//! Shown then parsed is the same; no text makes a parser panic.

use proptest::collection::vec;
use proptest::prelude::*;
use waypost_naming::{
    Dentry, Dtab, Element, NameTree, ParseError, Path, PathBuffer, Place, Prefix, Segment, Span, Weighted,
};

fn segment() -> impl Strategy<Value = Segment> {
    let bytes = prop_oneof!["[a-zA-Z0-9_:.#$%-]{1,8}".prop_map(String::into_bytes), vec(any::<u8>(), 1..6)];
    bytes.prop_map(|bytes| Segment::new(bytes).unwrap())
}

fn path() -> impl Strategy<Value = Path> {
    vec(segment(), 0..5).prop_map(Path::from_segments)
}

/// Trees such as a parser makes: no node with less than two members, weights that two decimals hold.
fn tree() -> impl Strategy<Value = NameTree<Path>> {
    let leaf = prop_oneof![
        6 => path().prop_map(NameTree::Leaf),
        1 => Just(NameTree::Neg),
        1 => Just(NameTree::Fail),
        1 => Just(NameTree::Empty),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let member =
            (0_u32..500, inner.clone()).prop_map(|(cents, tree)| Weighted { weight: f64::from(cents) / 100.0, tree });
        prop_oneof![vec(inner, 2..4).prop_map(NameTree::Alt), vec(member, 2..4).prop_map(NameTree::Union)]
    })
}

fn dtab() -> impl Strategy<Value = Dtab> {
    let element = prop_oneof![4 => segment().prop_map(Element::Label), 1 => Just(Element::Any)];
    let prefix = vec(element, 0..4).prop_map(Prefix::from_elements);
    vec((prefix, tree()), 0..5).prop_map(|rules| {
        let rules = rules.into_iter();
        rules.map(|(prefix, tree)| Dentry { prefix, tree, place: Place::Default, span: Span::default() }).collect()
    })
}

/// Texts that look like dtabs from afar.
fn soup() -> impl Strategy<Value = String> {
    prop_oneof![
        r"[/a-c*|&;()=>~!$# \\x0-9.\n\u{e9}]{0,60}",
        vec(prop_oneof!["/[ab]{0,2}", " ?=> ?", " ?[|&;*()~!$] ?", r"[0-9.]{1,3}\*?", "#[^\n]{0,3}\n?"], 0..16)
            .prop_map(|parts| parts.concat()),
        any::<String>(),
    ]
}

proptest! {
    #[test]
    fn shown_then_parsed_is_the_same_path(path in path()) {
        prop_assert_eq!(Path::parse(&path.to_string()), Ok(path));
    }

    #[test]
    fn shown_then_parsed_is_the_same_tree(tree in tree()) {
        prop_assert_eq!(NameTree::parse(&tree.to_string()), Ok(tree));
    }

    #[test]
    fn shown_then_parsed_is_the_same_dtab(dtab in dtab()) {
        let parsed = Dtab::parse(&dtab.to_string()).unwrap();
        let rules = |dtab: &Dtab| -> Vec<_> {
            dtab.dentries().iter().map(|rule| (rule.prefix.clone(), rule.tree.clone())).collect()
        };

        prop_assert_eq!(rules(&parsed), rules(&dtab));
    }

    #[test]
    fn what_is_shown_of_any_weight_can_be_read(weight in 0.0..f64::MAX) {
        let members = [weight, 1.0].map(|weight| Weighted { weight, tree: NameTree::Leaf(Path::empty()) });
        let shown = NameTree::Union(members.into()).to_string();

        prop_assert_eq!(NameTree::parse(&shown).unwrap().to_string(), shown);
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in soup()) {
        let errors = [Path::parse(&text).err(), Prefix::parse(&text).err(), NameTree::parse(&text).err(), Dtab::parse(&text).err()];

        for ParseError { span, .. } in errors.into_iter().flatten() {
            prop_assert!(text.get(span.start..span.end).is_some(), "{:?} is not in the text", span);
        }
    }

    #[test]
    fn a_rule_stands_where_its_span_says(text in soup()) {
        if let Ok(dtab) = Dtab::parse(&text) {
            for rule in dtab.dentries() {
                let alone = Dtab::parse(&text[rule.span.start..rule.span.end]).unwrap();
                prop_assert_eq!(alone.to_string(), rule.to_string());
            }
        }
    }

    #[test]
    fn a_buffer_gives_back_the_path_that_it_got(before in path(), path in path()) {
        let mut buffer = PathBuffer::new();
        buffer.extend(&before);
        buffer.clear();
        path.segments().iter().for_each(|segment| buffer.push(segment.as_bytes()).unwrap());

        let mut other = PathBuffer::new();
        other.extend(&path);

        prop_assert_eq!(buffer.to_path(), path);
        prop_assert_eq!(buffer.as_bytes(), other.as_bytes());
    }

    #[test]
    fn equal_buffers_are_equal_paths(left in path(), right in path()) {
        let [left_buffer, right_buffer] = [&left, &right].map(|path| {
            let mut buffer = PathBuffer::new();
            buffer.extend(path);
            buffer
        });

        prop_assert_eq!(left_buffer == right_buffer, left == right);
    }

    #[test]
    fn taken_and_dropped_make_the_whole(path in path(), count in 0_usize..6) {
        prop_assert_eq!(&path.take(count).concat(&path.drop(count)), &path);
        prop_assert!(path.starts_with(&path.take(count)));
        prop_assert_eq!(path.strip_prefix(&path.take(count)), path.segments().get(count.min(path.len())..));
    }

    #[test]
    fn simplifying_keeps_the_meaning(tree in tree()) {
        let simple = tree.clone().simplified();

        prop_assert_eq!(decided(&tree), decided(&simple));
        prop_assert_eq!(simple.clone().simplified(), simple);
    }

    #[test]
    fn a_look_up_is_what_each_rule_makes_of_the_path(dtab in dtab(), rest in path()) {
        for rule in dtab.dentries() {
            let labels = rule.prefix.elements().iter().map(|element| match element {
                Element::Label(label) => label.clone(),
                Element::Any => Segment::new("any").unwrap(),
            });
            let path = Path::from_segments(labels).concat(&rest);
            let found = dtab.lookup(&path);
            let by_rule = found.members.iter().find(|(by, _)| **by == **rule);
            let expected = rule.tree.clone().map(|leaf| leaf.concat(&rest));
            prop_assert_eq!(by_rule.map(|(_, tree)| tree), Some(&expected));
        }
    }
}

/// What a request can get from a tree of bound leaves.
fn decided(tree: &NameTree<Path>) -> NameTree<Path> {
    match tree {
        NameTree::Leaf(_) | NameTree::Neg | NameTree::Fail | NameTree::Empty => tree.clone(),
        NameTree::Alt(trees) => trees.iter().map(decided).find(|tree| *tree != NameTree::Neg).unwrap_or(NameTree::Neg),
        NameTree::Union(members) if members.len() == 1 => decided(&members[0].tree),
        NameTree::Union(members) => {
            let members =
                members.iter().map(|Weighted { weight, tree }| Weighted { weight: *weight, tree: decided(tree) });
            let mut left: Vec<_> =
                members.filter(|member| !matches!(member.tree, NameTree::Neg | NameTree::Fail)).collect();
            if left.len() > 1 { NameTree::Union(left) } else { left.pop().map_or(NameTree::Neg, |member| member.tree) }
        }
    }
}
