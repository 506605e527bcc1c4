//! From tokens to a tree, by the operators' precedence.

use crate::error::{ParseError, Problem};
use crate::function::Function;
use crate::like::Pattern;
use crate::token::{Token, tokens};
use crate::tree::{Arithmetic, Level, Node, Order};
use crate::value::Value;

/// How long the text of an expression may be.
pub const MAX_LENGTH_BYTES: usize = 4_096;

/// How deep an expression may be nested: parentheses, and operators that are operands of others. A chain of `AND`, or one
/// of `OR`, counts once however long it is.
pub const MAX_DEPTH: usize = 100;

pub(crate) fn parse(text: &str) -> Result<Node, ParseError> {
    if text.len() > MAX_LENGTH_BYTES {
        let message =
            format!("an expression has at most {MAX_LENGTH_BYTES} bytes, and this has {}", text.len());
        return Err(ParseError::new(text, MAX_LENGTH_BYTES, Problem::Wrong(message.into())));
    }
    let mut parser = Parser { text, tokens: tokens(text)?, next: 0, nesting: 0 };
    let parsed = parser.expression(Level::Logical)?;
    match parser.peek() {
        Token::End => Ok(parsed.node),
        _ => Err(parser.expected("an operator or the end")),
    }
}

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<(Token<'t>, usize)>,
    next: usize,
    /// How many calls of `nested` are under way.
    nesting: usize,
}

struct Parsed {
    node: Node,
    depth: usize,
}

impl Parsed {
    fn leaf(node: Node) -> Self {
        Parsed { node, depth: 1 }
    }
}

enum Infix {
    And,
    Or,
    Xor,
    Equal { negated: bool },
    Order(Order),
    Arithmetic(Arithmetic),
}

impl Infix {
    fn level(&self) -> Level {
        match self {
            Infix::And | Infix::Or | Infix::Xor => Level::Logical,
            Infix::Equal { .. } | Infix::Order(_) => Level::Comparison,
            Infix::Arithmetic(operation) => operation.level(),
        }
    }

    fn join(self, left: Node, right: Node) -> Node {
        match (self, left) {
            (Infix::And, Node::All(mut chain)) => {
                chain.push(right);
                Node::All(chain)
            }
            (Infix::And, left) => Node::All(vec![left, right]),
            (Infix::Or, Node::Any(mut chain)) => {
                chain.push(right);
                Node::Any(chain)
            }
            (Infix::Or, left) => Node::Any(vec![left, right]),
            (Infix::Xor, left) => Node::Xor(Box::new([left, right])),
            (Infix::Equal { negated }, left) => Node::Equal { sides: Box::new([left, right]), negated },
            (Infix::Order(order), left) => Node::Order { order, sides: Box::new([left, right]) },
            (Infix::Arithmetic(operation), left) => {
                Node::Arithmetic { operation, sides: Box::new([left, right]) }
            }
        }
    }

    fn continues(&self, left: &Node) -> bool {
        matches!((self, left), (Infix::And, Node::All(_)) | (Infix::Or, Node::Any(_)))
    }
}

impl<'t> Parser<'t> {
    /// As much as is held together by operators that bind at least as tightly as `loosest`.
    fn expression(&mut self, loosest: Level) -> Result<Parsed, ParseError> {
        let mut left = self.operand()?;
        loop {
            let start = self.next;
            if let Some(infix) = self.infix() {
                let level = infix.level();
                if level < loosest {
                    return Ok(left);
                }
                self.next += 1;
                let right = self.expression(level.tighter())?;
                let depth = match infix.continues(&left.node) {
                    true => left.depth.max(right.depth + 1),
                    false => left.depth.max(right.depth) + 1,
                };
                left = self.bounded(Parsed { node: infix.join(left.node, right.node), depth }, start)?;
            } else if loosest <= Level::Postfix && self.is_postfix() {
                let negated = self.keyword("NOT");
                let parsed = if self.keyword("LIKE") {
                    let pattern = self.pattern()?;
                    let node = Node::Like { operand: Box::new(left.node), pattern, negated };
                    Parsed { node, depth: left.depth + 1 }
                } else {
                    self.next += 1;
                    self.symbol("(", "`(`")?;
                    let (set, deepest) = self.list()?;
                    let node = Node::In { operand: Box::new(left.node), set, negated };
                    Parsed { node, depth: left.depth.max(deepest) + 1 }
                };
                left = self.bounded(parsed, start)?;
            } else {
                return Ok(left);
            }
        }
    }

    fn operand(&mut self) -> Result<Parsed, ParseError> {
        let start = self.next;
        let Token::Word(word) = *self.peek() else { return self.other_operand() };
        if self.keyword("NOT") {
            let operand = self.nested(|parser| parser.expression(Level::Unary))?;
            let node = Node::Not(Box::new(operand.node));
            return self.bounded(Parsed { node, depth: operand.depth + 1 }, start);
        }
        if self.keyword("TRUE") {
            return Ok(Parsed::leaf(Node::Literal(Value::Boolean(true))));
        }
        if self.keyword("FALSE") {
            return Ok(Parsed::leaf(Node::Literal(Value::Boolean(false))));
        }
        if self.keyword("EXISTS") {
            return self.attribute("an attribute's name").map(|name| Parsed::leaf(Node::Exists(name)));
        }
        if is_keyword(word) {
            return Err(self.expected("a value"));
        }
        if matches!(self.tokens.get(start + 1), Some((Token::Symbol("("), _))) {
            return self.function_call(word);
        }
        self.attribute("a value").map(|name| Parsed::leaf(Node::Attribute(name)))
    }

    fn other_operand(&mut self) -> Result<Parsed, ParseError> {
        let start = self.next;
        match self.peek() {
            Token::Symbol("(") => {
                self.next += 1;
                let inner = self.nested(|parser| parser.expression(Level::Logical))?;
                self.symbol(")", "an operator or `)`")?;
                Ok(inner)
            }
            Token::Symbol(sign @ ("-" | "+")) => {
                let sign = *sign;
                self.next += 1;
                if let Token::Digits(_) = self.peek() {
                    return self.integer(sign);
                }
                if sign == "+" {
                    return Err(self.expected("an integer"));
                }
                let operand = self.nested(|parser| parser.expression(Level::Unary))?;
                let node = Node::Negate(Box::new(operand.node));
                self.bounded(Parsed { node, depth: operand.depth + 1 }, start)
            }
            Token::Digits(_) => self.integer(""),
            Token::Text(text) => {
                let text = text.clone().into_owned();
                self.next += 1;
                Ok(Parsed::leaf(Node::Literal(Value::String(text.into()))))
            }
            Token::Word(_) | Token::Symbol(_) | Token::End => Err(self.expected("a value")),
        }
    }

    /// With its sign, since the smallest integer has no positive counterpart.
    fn integer(&mut self, sign: &str) -> Result<Parsed, ParseError> {
        let Token::Digits(digits) = *self.peek() else { return Err(self.expected("an integer")) };
        match format!("{sign}{digits}").parse() {
            Ok(number) => {
                self.next += 1;
                Ok(Parsed::leaf(Node::Literal(Value::Integer(number))))
            }
            Err(_) => Err(self.wrong(self.next, format!("`{sign}{digits}` is no integer of 32 bits"))),
        }
    }

    fn function_call(&mut self, word: &str) -> Result<Parsed, ParseError> {
        let start = self.next;
        if word.contains(|c: char| c.is_ascii_digit()) {
            let message = format!("`{word}` is no function's name: those are of letters and `_`");
            return Err(self.wrong(start, message));
        }
        self.next += 2;
        let (arguments, deepest) = match self.peek() {
            Token::Symbol(")") => {
                self.next += 1;
                (Vec::new(), 0)
            }
            _ => self.list()?,
        };
        let name = word.to_ascii_uppercase();
        let node = match Function::find(&name, arguments.len()) {
            Some(function) => Node::Call { function, arguments },
            None => Node::MissingFunction { name: name.into(), arguments },
        };
        self.bounded(Parsed { node, depth: deepest + 1 }, start)
    }

    /// One expression or more, up to and with the `)`; and how deep the deepest is.
    fn list(&mut self) -> Result<(Vec<Node>, usize), ParseError> {
        let (mut nodes, mut deepest) = (Vec::new(), 0);
        loop {
            let parsed = self.nested(|parser| parser.expression(Level::Logical))?;
            deepest = deepest.max(parsed.depth);
            nodes.push(parsed.node);
            if *self.peek() != Token::Symbol(",") {
                self.symbol(")", "an operator, `,` or `)`")?;
                return Ok((nodes, deepest));
            }
            self.next += 1;
        }
    }

    fn pattern(&mut self) -> Result<Pattern, ParseError> {
        let Token::Text(text) = self.peek() else {
            return Err(self.expected("a pattern, which is a string,"));
        };
        let pattern = Pattern::new(text);
        self.next += 1;
        Ok(pattern)
    }

    fn attribute(&mut self, expected: &'static str) -> Result<Box<str>, ParseError> {
        match *self.peek() {
            Token::Word(word) if !is_keyword(word) => {
                if word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
                    self.next += 1;
                    return Ok(word.into());
                }
                let message =
                    format!("`{word}` is no attribute's name: those are of lower-case letters and digits");
                Err(self.wrong(self.next, message))
            }
            _ => Err(self.expected(expected)),
        }
    }

    fn infix(&self) -> Option<Infix> {
        Some(match self.peek() {
            Token::Symbol(symbol) => match *symbol {
                "=" => Infix::Equal { negated: false },
                "!=" | "<>" => Infix::Equal { negated: true },
                "<" => Infix::Order(Order::Less),
                "<=" => Infix::Order(Order::LessOrEqual),
                ">" => Infix::Order(Order::Greater),
                ">=" => Infix::Order(Order::GreaterOrEqual),
                "*" => Infix::Arithmetic(Arithmetic::Multiply),
                "/" => Infix::Arithmetic(Arithmetic::Divide),
                "%" => Infix::Arithmetic(Arithmetic::Remainder),
                "+" => Infix::Arithmetic(Arithmetic::Add),
                "-" => Infix::Arithmetic(Arithmetic::Subtract),
                _ => return None,
            },
            Token::Word(word) if word.eq_ignore_ascii_case("AND") => Infix::And,
            Token::Word(word) if word.eq_ignore_ascii_case("OR") => Infix::Or,
            Token::Word(word) if word.eq_ignore_ascii_case("XOR") => Infix::Xor,
            _ => return None,
        })
    }

    /// Whether `LIKE` or `IN` comes next, or a `NOT` before one of them.
    fn is_postfix(&self) -> bool {
        let place = self.next + usize::from(self.is_keyword_at(self.next, "NOT"));
        self.is_keyword_at(place, "LIKE") || self.is_keyword_at(place, "IN")
    }

    /// What recurses goes through here, so that no text can use up the stack.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T, ParseError>) -> Result<T, ParseError> {
        if self.nesting >= MAX_DEPTH {
            return Err(self.too_deep(self.next));
        }
        self.nesting += 1;
        let parsed = parse(self);
        self.nesting -= 1;
        parsed
    }

    fn bounded(&self, parsed: Parsed, place: usize) -> Result<Parsed, ParseError> {
        if parsed.depth > MAX_DEPTH { Err(self.too_deep(place)) } else { Ok(parsed) }
    }

    fn peek(&self) -> &Token<'t> {
        self.tokens.get(self.next).map_or(&Token::End, |(token, _)| token)
    }

    fn is_keyword_at(&self, place: usize, keyword: &str) -> bool {
        matches!(self.tokens.get(place), Some((Token::Word(word), _)) if word.eq_ignore_ascii_case(keyword))
    }

    /// Steps over a keyword, if it is next.
    fn keyword(&mut self, keyword: &str) -> bool {
        let found = self.is_keyword_at(self.next, keyword);
        self.next += usize::from(found);
        found
    }

    fn symbol(&mut self, symbol: &'static str, expected: &'static str) -> Result<(), ParseError> {
        if *self.peek() != Token::Symbol(symbol) {
            return Err(self.expected(expected));
        }
        self.next += 1;
        Ok(())
    }

    fn position(&self, place: usize) -> usize {
        self.tokens.get(place).map_or(self.text.len(), |(_, position)| *position)
    }

    fn expected(&self, expected: &'static str) -> ParseError {
        let found = match self.peek() {
            Token::Word(found) | Token::Digits(found) => format!("`{found}`"),
            Token::Symbol(found) => format!("`{found}`"),
            Token::Text(_) => "a string".to_owned(),
            Token::End => "the end".to_owned(),
        };
        ParseError::new(self.text, self.position(self.next), Problem::Expected { expected, found })
    }

    fn wrong(&self, place: usize, message: String) -> ParseError {
        ParseError::new(self.text, self.position(place), Problem::Wrong(message.into()))
    }

    fn too_deep(&self, place: usize) -> ParseError {
        self.wrong(place, format!("an expression is nested at most {MAX_DEPTH} deep, and this is deeper"))
    }
}

fn is_keyword(word: &str) -> bool {
    ["AND", "OR", "XOR", "NOT", "LIKE", "IN", "EXISTS", "TRUE", "FALSE"]
        .iter()
        .any(|keyword| word.eq_ignore_ascii_case(keyword))
}
