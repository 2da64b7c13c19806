//! Text with members of an event in it: `--name={name}`.

/// Text with fields in braces. `{{` and `}}` are braces.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Template {
    parts: Box<[Part]>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Part {
    Text(Box<str>),
    Field(Box<str>),
}

/// Why a text is no template.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TemplateError {
    /// Where, in bytes from its start.
    pub offset: usize,
    /// What is wrong with it.
    pub fault: &'static str,
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// If a brace is unpaired, or encloses no name.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let (mut parts, mut literal, mut at) = (Vec::new(), String::new(), 0);
        while let Some(brace) = text[at..].find(['{', '}']).map(|found| at + found) {
            literal.push_str(&text[at..brace]);
            let (sign, rest) = text[brace..].split_at(1);
            if rest.starts_with(sign) {
                literal.push_str(sign);
                at = brace + 2;
                continue;
            }
            let error = |fault| Err(TemplateError { offset: brace, fault });
            if sign == "}" {
                return error("`}` closes nothing; write `}}` for a brace");
            }
            let Some(end) = rest.find(['{', '}']).filter(|&end| rest[end..].starts_with('}')) else {
                return error("`{` is not closed; write `{{` for a brace");
            };
            if end == 0 || rest[..end].contains(char::is_whitespace) {
                return error("the name of a field stands between `{` and `}`");
            }
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal).into()));
            }
            parts.push(Part::Field(rest[..end].into()));
            at = brace + 1 + end + 1;
        }
        literal.push_str(&text[at..]);
        if !literal.is_empty() {
            parts.push(Part::Text(literal.into()));
        }
        Ok(Self { parts: parts.into() })
    }

    /// Iterates over the fields in it.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| if let Part::Field(name) = part { Some(&**name) } else { None })
    }

    /// Returns the field that is all of it, if so.
    pub fn sole_field(&self) -> Option<&str> {
        if let [Part::Field(name)] = &*self.parts { Some(name) } else { None }
    }

    /// Returns the text, with the value of each field.
    pub fn fill<'a>(&self, value: impl Fn(&str) -> std::borrow::Cow<'a, str>) -> String {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(literal) => text.push_str(literal),
                Part::Field(name) => text.push_str(&value(name)),
            }
        }
        text
    }
}
