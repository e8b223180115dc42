//! Checks of plain values, with the field named.

use rackhand_wire::FieldError;

use super::problem::Refused;

/// Collects what is wrong, so that a person sees all of it at once.
#[derive(Default)]
pub struct Check(Vec<FieldError>);

impl Check {
    /// A name: not empty, at most 100 characters, printable.
    pub fn name(&mut self, field: &str, value: &str) -> &mut Self {
        if value.trim().is_empty() {
            self.0.push(FieldError::new(field, "required", "A name is needed."));
        } else {
            self.text(field, value, 100);
        }
        self
    }

    /// One line of text, at most `max` characters.
    pub fn text(&mut self, field: &str, value: &str, max: usize) -> &mut Self {
        let length = value.chars().count();
        if length > max {
            let message = format!("At most {max} characters are possible; this has {length}.");
            self.0.push(FieldError::new(field, "too_long", message));
        } else if value.chars().any(char::is_control) {
            self.0.push(FieldError::new(field, "not_printable", "Control characters are not possible here."));
        }
        self
    }

    /// Text of several lines, at most `max` characters.
    pub fn lines(&mut self, field: &str, value: &str, max: usize) -> &mut Self {
        let length = value.chars().count();
        if length > max {
            let message = format!("At most {max} characters are possible; this has {length}.");
            self.0.push(FieldError::new(field, "too_long", message));
        } else if value.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            self.0.push(FieldError::new(field, "not_printable", "Control characters are not possible here."));
        }
        self
    }

    /// Tags: at most 20 of 40 characters.
    pub fn tags(&mut self, field: &str, values: &[String]) -> &mut Self {
        if values.len() > 20 {
            self.0.push(FieldError::new(field, "too_many", "At most 20 tags are possible."));
        }
        for (at, value) in values.iter().enumerate() {
            let field = format!("{field}[{at}]");
            if value.trim().is_empty() {
                self.0.push(FieldError::new(field, "required", "A tag cannot be empty."));
            } else {
                self.text(&field, value, 40);
            }
        }
        self
    }

    /// A password: 12 to 200 characters.
    pub fn password(&mut self, field: &str, value: &str) -> &mut Self {
        let length = value.chars().count();
        if length < 12 {
            self.0.push(FieldError::new(field, "too_short", "At least 12 characters are needed."));
        } else if length > 200 {
            self.0.push(FieldError::new(field, "too_long", "At most 200 characters are possible."));
        }
        self
    }

    /// A number between two others.
    pub fn range(&mut self, field: &str, value: u32, least: u32, most: u32) -> &mut Self {
        if value < least || value > most {
            let message = format!("Must be between {least} and {most}.");
            self.0.push(FieldError::new(field, "out_of_range", message));
        }
        self
    }

    /// Anything else that is wrong.
    pub fn refuse(&mut self, field: &str, code: &str, message: &str) -> &mut Self {
        self.0.push(FieldError::new(field, code, message));
        self
    }

    /// Ends the check.
    ///
    /// # Errors
    /// Every field that is wrong.
    pub fn done(&mut self) -> Result<(), Refused> {
        let errors = std::mem::take(&mut self.0);
        if errors.is_empty() { Ok(()) } else { Err(Refused::Invalid(errors)) }
    }
}
