//! TOML as a tree of values.

use toml::de::{DeInteger, DeTable, DeValue};
use toml_parser::{Source, lexer::TokenKind};

use super::{
    fault::Faults,
    tree::{Kind, Member, Value},
};
use crate::limits::FILE_DEPTH_MAX;

/// Reads a whole file. Reports all syntax errors.
pub(super) fn parse(text: &str, faults: &mut Faults<'_>) -> Vec<Member> {
    if let Some(at) = too_deep(text) {
        faults.add(at, format!("this nests deeper than {FILE_DEPTH_MAX} tables and lists"));
        return Vec::new();
    }
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let at = error.span().map_or(0, |span| span.start);
        faults
            .add(at, error.message().lines().filter(|line| *line != "expected nothing").collect::<Vec<_>>().join(", "));
    }
    table(root.get_ref(), faults)
}

/// Returns where tables and lists nest too deep. Each part of a dotted key is a level, and building or dropping such a
/// table recurses.
fn too_deep(text: &str) -> Option<usize> {
    // For each open bracket, the dots of the key before it; and the dots of the key at hand, or of a number.
    let (mut open, mut dots, mut depth) = (Vec::new(), 0, 0);
    for token in Source::new(text).lex() {
        match token.kind() {
            TokenKind::Dot => dots += 1,
            TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket => {
                open.push(dots);
                depth += dots + 1;
                dots = 0;
            }
            TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket => {
                depth -= open.pop().map_or(0, |dots| dots + 1);
                dots = 0;
            }
            TokenKind::Comma => dots = 0,
            TokenKind::Newline if open.is_empty() => dots = 0,
            _ => {}
        }
        if depth + dots > FILE_DEPTH_MAX {
            return Some(token.span().start());
        }
    }
    None
}

fn table(table: &DeTable<'_>, faults: &mut Faults<'_>) -> Vec<Member> {
    let member = |(name, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
        let name: (&std::borrow::Cow<'_, str>, _) = (name.get_ref(), name.span().start);
        let value = Value { at: value.span().start, kind: kind(value.get_ref(), value.span().start, faults) };
        Member { name: name.0.to_string(), at: name.1, value }
    };
    let mut members: Vec<Member> = table.iter().map(member).collect();
    // The crate sorts them by name.
    members.sort_by_key(|member| member.at);
    members
}

fn kind(value: &DeValue<'_>, at: usize, faults: &mut Faults<'_>) -> Kind {
    match value {
        DeValue::String(text) => Kind::Text(text.to_string()),
        DeValue::Integer(number) => whole(number).map_or_else(
            || {
                faults.add(at, "this number does not fit into 64 bits");
                Kind::Whole(0)
            },
            Kind::Whole,
        ),
        DeValue::Float(number) => Kind::Decimal(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(flag) => Kind::Flag(*flag),
        DeValue::Datetime(date) => Kind::Date(date.to_string()),
        DeValue::Array(elements) => {
            let element = |element: &toml::Spanned<DeValue<'_>>| {
                let at = element.span().start;
                Value { at, kind: kind(element.get_ref(), at, faults) }
            };
            Kind::List(elements.iter().map(element).collect())
        }
        DeValue::Table(members) => Kind::Table(table(members, faults)),
    }
}

fn whole(number: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}
