//! Walks over the text of a value and the nodes of its shape together. The text was checked to be a JSON value.

use std::{borrow::Cow, fmt::Write as _};

use super::{
    date::is_date_time,
    mismatch::{Mismatch, Problem},
    node::{Further, Kind, Node, Object, Range},
};
use crate::{
    json::{fits_64_bits, whole},
    limits::{QUOTED_BYTES_MAX, SHAPE_DEPTH_MAX, SHAPE_STEPS_MIN, SHAPE_STEPS_PER_BYTE},
};

/// Checks `text`. With `fill`, the result has the absent fields that have a default.
pub(super) fn check<'a>(nodes: &[Node], text: &'a str, fill: bool) -> Result<Cow<'a, str>, Mismatch> {
    let steps = SHAPE_STEPS_MIN + SHAPE_STEPS_PER_BYTE * text.len();
    let mut walk = Walk { nodes, text, at: 0, steps, fill, depth: 0, path: Vec::new(), edits: Vec::new() };
    walk.value(0).map_err(|refusal| refusal.mismatch)?;
    if walk.edits.is_empty() {
        return Ok(Cow::Borrowed(text));
    }
    let (mut edited, mut from) = (String::with_capacity(text.len()), 0);
    for (start, end, new) in walk.edits {
        edited.push_str(&text[from..start]);
        edited.push_str(&new);
        from = end;
    }
    edited.push_str(&text[from..]);
    Ok(Cow::Owned(edited))
}

pub(super) struct Walk<'a, 'n> {
    nodes: &'n [Node],
    pub(super) text: &'a str,
    pub(super) at: usize,
    /// How many steps remain, as nested alternatives could take any time. Without any left, everything is accepted.
    steps: usize,
    depth: usize,
    path: Vec<Segment<'a>>,
    /// Whether absent fields with a default are to be added.
    fill: bool,
    /// Numbers to be rewritten as integers, and members to be added: start, end and new text.
    edits: Vec<(usize, usize, String)>,
}

enum Segment<'a> {
    Field(Cow<'a, str>),
    Element(usize),
}

/// A value that does not fit, with what tells to which alternative the fault belongs.
pub(super) struct Refusal {
    mismatch: Mismatch,
    /// How deep it is nested.
    depth: usize,
    /// Whether the value is not in a list of allowed ones: it then belongs to another alternative, not wrongly to this.
    other: bool,
}

impl Refusal {
    /// Marks a fault that follows a part that is not certain to fit: it probably belongs to another alternative.
    fn after(self, sure: Sure) -> Self {
        Self { other: self.other || !sure, ..self }
    }
}

/// Whether a value certainly fits. It does not if a field could be present under a name that no schema shows.
type Sure = bool;

impl<'n> Walk<'_, 'n> {
    /// Checks the value at the cursor and moves past it.
    fn value(&mut self, node: usize) -> Result<Sure, Refusal> {
        self.skip_spaces();
        let (start, nodes) = (self.at, self.nodes);
        let Some(node) = nodes.get(node) else { return self.skip(false).map(|()| true) };
        self.depth += 1;
        let spent = self.steps == 0 || self.depth > SHAPE_DEPTH_MAX;
        self.steps = self.steps.saturating_sub(1);
        let sure = if spent { self.skip(false).map(|()| false) } else { self.fits(node, start) };
        self.depth -= 1;
        sure
    }

    fn fits(&mut self, node: &'n Node, start: usize) -> Result<Sure, Refusal> {
        let typed = node.kinds != 0;
        let kind = self.kind();
        if node.never {
            return Err(self.fault(Problem::Never));
        }
        if typed && kind & accepted(node.kinds) == 0 {
            return Err(self.mismatch(node.kinds, kind));
        }
        let mut sure = match kind {
            Kind::OBJECT => match &node.object {
                Some(object) => self.object(object, node.names.as_deref())?,
                None => self.skip(node.is_untyped()).map(|()| true)?,
            },
            Kind::ARRAY => self.array(node)?,
            Kind::STRING => self.string(node).map(|()| true)?,
            Kind::NUMBER => self.number(node).map(|()| true)?,
            _ => self.skip(false).map(|()| true)?,
        };
        let end = self.at;
        if let Some(values) = &node.values {
            sure &= self.one_of(values, node.names.as_deref(), start, end)?;
        }
        for &part in &node.all {
            self.at = start;
            sure &= self.value(part).map_err(|fault| fault.after(sure))?;
        }
        for parts in &node.any {
            sure &= self.any(parts, start).map_err(|fault| fault.after(sure))?;
        }
        self.at = end;
        Ok(sure)
    }

    fn object(&mut self, object: &'n Object, names: Option<&'n [Box<str>]>) -> Result<Sure, Refusal> {
        let mut seen = vec![false; object.properties.len()];
        // Whether a field could be present under an alias.
        let (mut aliased, mut count) = (false, 0_usize);
        self.members(b'}', |walk| {
            count += 1;
            let name = walk.key();
            let known = object.properties.binary_search_by(|(property, _)| (**property).cmp(&name));
            if known.is_ok_and(|index| seen[index]) {
                return Err(walk.fault(Problem::DuplicateField(shown(&name).into())));
            }
            let is_name = |names: &[Box<str>]| names.iter().any(|known| **known == *name);
            let maybe_alias = known.is_err() && names.is_none_or(is_name);
            aliased |= maybe_alias;
            let further = match (known, object.further) {
                (Ok(index), _) => {
                    seen[index] = true;
                    Some(object.properties[index].1)
                }
                (Err(_), Further::Each(each)) if !maybe_alias || names.is_none() => Some(each),
                (Err(_), Further::Refused) if !maybe_alias => {
                    let known = names.unwrap_or_default().into();
                    return Err(walk.fault(Problem::UnknownField { name: shown(&name).into(), known }));
                }
                (Err(_), _) => None,
            };
            walk.path.push(Segment::Field(name));
            let sure = match further {
                Some(node) => walk.value(node)?,
                None => walk.skip(matches!(object.further, Further::Kept)).map(|()| true)?,
            };
            walk.path.pop();
            Ok(sure)
        })
        .and_then(|sure| {
            let is_there = |name: &str| {
                let index = object.properties.binary_search_by(|(property, _)| (**property).cmp(name));
                index.is_ok_and(|index| seen[index])
            };
            match object.required.iter().find(|name| !is_there(name)) {
                None => {
                    self.add_defaults(object, &seen, count > 0);
                    Ok(sure)
                }
                // Another part of the schema declares a required name that is not a property.
                Some(_) if aliased => Ok(false),
                Some(name) => {
                    self.path.push(Segment::Field(Cow::Owned(name.to_string())));
                    let fault = self.fault(Problem::Missing);
                    self.path.pop();
                    Err(fault.after(sure))
                }
            }
        })
    }

    /// Adds the absent fields that have a default to the object that ends at the cursor.
    fn add_defaults(&mut self, object: &Object, seen: &[bool], has_members: bool) {
        let Some(end) = self.at.checked_sub(1).filter(|end| self.fill && self.text.as_bytes()[*end] == b'}') else {
            return;
        };
        let absent = object.defaults.iter().filter(|(index, _)| !seen[*index]).map(|(_, member)| &**member);
        let added = absent.collect::<Vec<_>>().join(",");
        if !added.is_empty() {
            let separated = if has_members { format!(",{added}") } else { added };
            self.edits.push((end, end, separated));
        }
    }

    fn array(&mut self, node: &'n Node) -> Result<Sure, Refusal> {
        let mut count = 0;
        let untyped = node.is_untyped();
        let sure = self.members(b']', |walk| {
            walk.path.push(Segment::Element(count));
            let element = node.prefix.get(count).copied().or(node.items);
            let sure = match element {
                Some(element) => walk.value(element)?,
                None => walk.skip(untyped).map(|()| true)?,
            };
            walk.path.pop();
            count += 1;
            Ok(sure)
        })?;
        match node.length {
            Some((low, high)) if !(low..=high).contains(&count) => {
                Err(self.fault(Problem::Length { low, high, unit: "element", got: count }))
            }
            _ => Ok(sure),
        }
    }

    /// Passes every member of the object or array at the cursor to `each`, and moves past it.
    fn members(
        &mut self,
        close: u8,
        mut each: impl FnMut(&mut Self) -> Result<Sure, Refusal>,
    ) -> Result<Sure, Refusal> {
        let mut sure = true;
        self.at += 1;
        self.skip_spaces();
        while self.byte().is_some_and(|byte| byte != close) {
            sure &= each(self).map_err(|fault| fault.after(sure))?;
            self.skip_spaces();
            if self.byte() == Some(b',') {
                self.at += 1;
                self.skip_spaces();
            } else if self.byte() != Some(close) {
                // Not JSON; decoding will report it.
                self.at = self.text.len();
            }
        }
        self.at = (self.at + 1).min(self.text.len());
        Ok(sure)
    }

    fn string(&mut self, node: &Node) -> Result<(), Refusal> {
        let start = self.at;
        self.skip_string();
        let raw = &self.text[start..self.at];
        if node.is_date_time && !is_date_time(raw.trim_matches('"')) {
            return Err(self.fault(Problem::NoDateTime));
        }
        let Some((low, high)) = node.length else { return Ok(()) };
        let characters = if raw.contains('\\') {
            serde_json::from_str::<String>(raw).map_or(0, |text| text.chars().count())
        } else {
            raw.chars().count().saturating_sub(2)
        };
        if (low..=high).contains(&characters) {
            return Ok(());
        }
        Err(self.fault(Problem::Length { low, high, unit: "character", got: characters }))
    }

    #[allow(clippy::cast_precision_loss)] // Bounds of floats are floats.
    fn number(&mut self, node: &Node) -> Result<(), Refusal> {
        let start = self.at;
        self.skip_number();
        let text = &self.text[start..self.at];
        if node.kinds == 0 && node.is_untyped() {
            return self.untyped_number(text);
        }
        if node.kinds & (Kind::INTEGER | Kind::NUMBER) != Kind::INTEGER {
            let decimal: f64 = text.parse().unwrap_or(0.0);
            let Range { low, high, decimal_low, decimal_high } = node.range;
            let is_low = low.map(|low| low as f64).or(decimal_low).is_some_and(|low| decimal < low);
            let is_high = high.map(|high| high as f64).or(decimal_high).is_some_and(|high| decimal > high);
            return if is_low || is_high { Err(self.out_of_range(node, text)) } else { Ok(()) };
        }
        let Some(literal) = whole(text) else {
            return Err(self.fault(Problem::Fraction(text.into())));
        };
        let fits = match literal.parse::<i128>() {
            Ok(number) => {
                node.range.low.is_none_or(|low| low <= number) && node.range.high.is_none_or(|high| number <= high)
            }
            Err(_) if literal.starts_with('-') => node.range.low.is_none(),
            Err(_) => node.range.high.is_none(),
        };
        if !fits {
            return Err(self.out_of_range(node, &literal));
        }
        if literal != text {
            self.edits.push((start, self.at, literal.into_owned()));
        }
        Ok(())
    }

    /// Refuses a number that does not fit 64 bits, which decoding would round.
    pub(super) fn untyped_number(&self, text: &str) -> Result<(), Refusal> {
        if fits_64_bits(text) {
            return Ok(());
        }
        Err(self.fault(Problem::Rounded(text.into())))
    }

    fn out_of_range(&self, node: &Node, got: &str) -> Refusal {
        let kind = if node.kinds & Kind::NUMBER == 0 { "integer" } else { "number" };
        self.fault(Problem::OutOfRange { kind, range: Box::new(node.range), got: got.into() })
    }

    fn one_of(
        &self,
        values: &[serde_json::Value],
        variants: Option<&[Box<str>]>,
        start: usize,
        end: usize,
    ) -> Result<Sure, Refusal> {
        let raw = &self.text[start..end];
        let value: serde_json::Value = serde_json::from_str(raw).unwrap_or_default();
        if values.contains(&value) {
            return Ok(true);
        }
        let is_alias = |came: &str| variants.is_none_or(|names| names.iter().any(|name| **name == *came));
        if value.as_str().is_some_and(is_alias) {
            return Ok(false);
        }
        let names: Vec<Box<str>> = values.iter().filter_map(serde_json::Value::as_str).map(Box::from).collect();
        let problem = match value.as_str() {
            Some(came) if names.len() == values.len() => {
                Problem::UnknownVariant { name: came.into(), known: names.into() }
            }
            _ => Problem::Unlisted,
        };
        Err(Refusal { other: true, ..self.fault(problem) })
    }

    /// Returns whether the value fits one of the alternatives. Reports a fault inside the alternative that it is meant
    /// to be.
    fn any(&mut self, parts: &'n [usize], start: usize) -> Result<Sure, Refusal> {
        let (depth, edits, path) = (self.path.len(), self.edits.len(), self.path.len());
        let (mut unsure, mut faults) = (false, Vec::new());
        for &part in parts {
            self.at = start;
            match self.value(part) {
                Ok(true) => return Ok(true),
                Ok(false) => unsure = true,
                Err(fault) => faults.push(fault),
            }
            self.edits.truncate(edits);
            self.path.truncate(path);
        }
        let is_inside = |fault: &Refusal| fault.depth > depth && !fault.other;
        let mut inside = faults.iter().enumerate().filter(|(_, fault)| is_inside(fault)).map(|(index, _)| index);
        match (inside.next(), inside.next(), unsure) {
            (Some(index), None, _) => Err(faults.swap_remove(index)),
            (_, _, true) => Ok(false),
            _ => Err(self.none_fits(parts, start, faults)),
        }
    }

    fn none_fits(&mut self, parts: &'n [usize], start: usize, mut faults: Vec<Refusal>) -> Refusal {
        self.at = start;
        let kind = self.kind();
        let node = |part: &usize| &self.nodes[*part];
        let texts = parts.iter().flat_map(|part| node(part).values.iter().flatten());
        let names: Vec<Box<str>> = texts.filter_map(serde_json::Value::as_str).map(Box::from).collect();
        if kind == Kind::STRING && !names.is_empty() {
            self.skip_string();
            let came = serde_json::from_str::<String>(&self.text[start..self.at]).unwrap_or_default();
            let problem = Problem::UnknownVariant { name: came.into(), known: names.into() };
            return Refusal { other: true, ..self.fault(problem) };
        }
        // For an option, report what is wrong with the inner value.
        let told: Vec<usize> =
            (0..parts.len().min(faults.len())).filter(|index| node(&parts[*index]).kinds != Kind::NULL).collect();
        if let [only] = told[..] {
            return faults.swap_remove(only);
        }
        self.fault(Problem::NoForm { kind: name_of(kind), forms: parts.len() })
    }

    fn mismatch(&self, kinds: u8, came: u8) -> Refusal {
        let expected = Kind::NAMES.iter().find(|(bit, _)| kinds & bit != 0).map_or("another value", |(_, name)| name);
        self.fault(Problem::Kind { expected, got: name_of(came) })
    }

    /// Returns a fault at the current path.
    fn fault(&self, problem: Problem) -> Refusal {
        let mut path = String::new();
        for (index, segment) in self.path.iter().enumerate() {
            let _ = match segment {
                Segment::Field(name) if index == 0 => write!(path, "{}", shown(name)),
                Segment::Field(name) => write!(path, ".{}", shown(name)),
                Segment::Element(element) => write!(path, "[{element}]"),
            };
        }
        let field = (!self.path.is_empty()).then(|| path.into_boxed_str());
        Refusal { mismatch: Mismatch { field, problem }, depth: self.path.len(), other: false }
    }
}

/// Formats a field's name for an error, cut so that there is room for the fault.
fn shown(name: &str) -> Cow<'_, str> {
    let end = name.floor_char_boundary(QUOTED_BYTES_MAX);
    if end == name.len() { name.into() } else { format!("{}…", &name[..end]).into() }
}

impl Node {
    /// Returns whether the node says nothing about the contents of its values.
    fn is_untyped(&self) -> bool {
        self.all.is_empty() && self.any.is_empty() && self.items.is_none() && self.prefix.is_empty()
    }
}

/// Returns the kinds that a text may have to fit: an integer may be written as any number.
fn accepted(kinds: u8) -> u8 {
    if kinds & Kind::INTEGER == 0 { kinds } else { kinds | Kind::NUMBER }
}

fn name_of(kind: u8) -> &'static str {
    Kind::NAMES.iter().find(|(bit, _)| *bit == kind).map_or("another value", |(_, name)| name)
}
