//! Templates and conditions that are compiled once and evaluated for each pod. Compiling takes longer than
//! rendering, and overlays are evaluated for every pod of a profile.

use std::fmt;
use std::sync::Arc;

use minijinja::value::ValueKind;
use minijinja::{Environment, Expression};

use super::lint::{self, TextKind};
use super::{Context, InvalidTemplateSyntax, RenderError, Slot, UsedMaps};

/// Compiled templates, with values that are inserted as text.
#[derive(Clone, Default)]
pub struct Templates {
    /// `None` without templates, because an engine needs memory for its filters.
    engine: Option<Box<Environment<'static>>>,
    names: Vec<String>,
}

/// One of [`Templates`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TemplateId(usize);

/// Without the engine, whose output is long.
impl fmt::Debug for Templates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Templates").field("count", &self.names.len()).finish_non_exhaustive()
    }
}

impl Templates {
    /// Compiles a template.
    ///
    /// # Errors
    /// If it cannot work for any pod, like [`super::check`].
    pub fn add(&mut self, text: &str) -> Result<(TemplateId, UsedMaps), InvalidTemplateSyntax> {
        super::check(text, Slot::Text)?;
        let name = self.names.len().to_string();
        let invalid = |error: minijinja::Error| super::syntax_error(&error);
        let engine = self.engine.get_or_insert_with(|| Box::new(super::build(Slot::Text)));
        engine.add_template_owned(name.clone(), text.to_owned()).map_err(invalid)?;
        let used = engine.get_template(&name).map_err(invalid)?.undeclared_variables(false);
        self.names.push(name);
        Ok((TemplateId(self.names.len() - 1), UsedMaps::new(&used)))
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.names.len()
    }

    /// Renders a template.
    ///
    /// # Errors
    /// If a variable is undefined.
    pub fn render(&self, id: TemplateId, context: &Context) -> Result<String, RenderError> {
        let (Some(engine), Some(name)) = (&self.engine, self.names.get(id.0)) else {
            return Err(RenderError::Refused("the template does not exist".to_owned()));
        };
        let template = engine.get_template(name).map_err(|error| super::render_error(&error, context))?;
        super::evaluate(&template, context)
    }
}

/// A condition: an expression that is true or false for a pod.
#[derive(Debug, Clone)]
pub struct Condition {
    expression: Arc<Expression<'static, 'static>>,
    used: UsedMaps,
}

impl Condition {
    /// Compiles a condition.
    ///
    /// # Errors
    /// If it cannot be true for any pod: invalid syntax, an unknown filter or variable.
    pub fn new(text: &str) -> Result<Self, InvalidTemplateSyntax> {
        let invalid = |error: minijinja::Error| InvalidTemplateSyntax::Condition {
            message: error.detail().unwrap_or("it cannot be parsed").to_owned(),
        };
        let expression =
            super::engine(Slot::Text).compile_expression_owned(text.to_owned()).map_err(invalid)?;
        let variables = expression.undeclared_variables(false);
        let used = UsedMaps::new(&variables);
        lint::variables(variables, super::VARIABLES)?;
        lint::tokens(text, TextKind::Expression)?;
        Ok(Self { expression: Arc::new(expression), used })
    }

    /// The maps that it reads.
    #[must_use]
    pub fn used(&self) -> UsedMaps {
        self.used
    }

    /// Whether it is true.
    ///
    /// # Errors
    /// If a variable is undefined, or the result is neither true nor false.
    pub fn is_met(&self, context: &Context) -> Result<bool, RenderError> {
        let value =
            self.expression.eval(context.root()).map_err(|error| super::render_error(&error, context))?;
        match value.kind() {
            ValueKind::Bool => Ok(value.is_true()),
            // It records the variable if the expression is one that is undefined.
            ValueKind::Undefined => Err(super::render_error(
                &minijinja::Error::new(minijinja::ErrorKind::UndefinedError, "the condition is undefined"),
                context,
            )),
            kind => Err(RenderError::Refused(format!(
                "the condition is a {kind} instead of true or false: compare it with a value, or test it with `is defined`"
            ))),
        }
    }
}
