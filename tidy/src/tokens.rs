//! Rust source as a flat list of tokens with their lines. Rules that speak about code look at
//! tokens, so that a word inside a string or a comment is not mistaken for code.

use anyhow::{Result, anyhow};
use proc_macro2::{Delimiter, TokenStream, TokenTree};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Word(String),
    Sign(char),
    Literal(String),
    Open(char),
    Close(char),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub kind: Kind,
    pub line: usize,
}

impl Token {
    pub fn word(&self) -> Option<&str> {
        if let Kind::Word(word) = &self.kind { Some(word) } else { None }
    }

    pub fn is_word(&self, word: &str) -> bool {
        self.word() == Some(word)
    }

    pub fn is_sign(&self, sign: char) -> bool {
        self.kind == Kind::Sign(sign)
    }
}

/// The tokens of a file; an error names the line that cannot be read.
pub fn tokens(text: &str) -> Result<Vec<Token>> {
    let stream: TokenStream = text.parse().map_err(|error: proc_macro2::LexError| {
        anyhow!("line {}: {error}", error.span().start().line)
    })?;
    let mut flat = Vec::new();
    flatten(stream, &mut flat);
    Ok(flat)
}

fn flatten(stream: TokenStream, flat: &mut Vec<Token>) {
    for tree in stream {
        let line = tree.span().start().line;
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ('(', ')'),
                    Delimiter::Brace => ('{', '}'),
                    Delimiter::Bracket => ('[', ']'),
                    Delimiter::None => (' ', ' '),
                };
                flat.push(Token { kind: Kind::Open(open), line });
                flatten(group.stream(), flat);
                flat.push(Token {
                    kind: Kind::Close(close),
                    line: group.span_close().start().line,
                });
            }
            TokenTree::Ident(word) => {
                let word = word.to_string();
                let word = word.strip_prefix("r#").map(str::to_owned).unwrap_or(word);
                flat.push(Token { kind: Kind::Word(word), line });
            }
            TokenTree::Punct(sign) => {
                flat.push(Token { kind: Kind::Sign(sign.as_char()), line });
            }
            TokenTree::Literal(literal) => {
                flat.push(Token { kind: Kind::Literal(literal.to_string()), line });
            }
        }
    }
}

/// The tokens without the modules that exist only under test.
pub fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let mut kept = Vec::new();
    let mut rest = tokens;
    while let Some((first, tail)) = rest.split_first() {
        if let Some(after) = after_test_module(rest) {
            rest = after;
        } else {
            kept.push(first.clone());
            rest = tail;
        }
    }
    kept
}

/// What follows `#[cfg(test)] … mod name { … }`, when the tokens begin with it.
fn after_test_module(tokens: &[Token]) -> Option<&[Token]> {
    let (mut rest, attribute) = attribute(tokens)?;
    let is_cfg_test = attribute.first()?.is_word("cfg") && attribute.get(2)?.is_word("test");
    if !is_cfg_test {
        return None;
    }
    while let Some((after, _)) = self::attribute(rest) {
        rest = after;
    }
    let [word, _name, body @ ..] = rest else {
        return None;
    };
    let inline = word.is_word("mod") && body.first()?.kind == Kind::Open('{');
    if inline { body.get(group_length(body)?..) } else { None }
}

/// Splits an attribute off the front: what follows it, and what it says.
fn attribute(tokens: &[Token]) -> Option<(&[Token], &[Token])> {
    let (sign, group) = tokens.split_first()?;
    if !sign.is_sign('#') || group.first()?.kind != Kind::Open('[') {
        return None;
    }
    let length = group_length(group)?;
    Some((group.get(length..)?, group.get(1..length)?))
}

/// How many tokens the group at the front has, with its brackets.
fn group_length(tokens: &[Token]) -> Option<usize> {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate() {
        match token.kind {
            Kind::Open(_) => depth = depth.checked_add(1)?,
            Kind::Close(_) => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return index.checked_add(1);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(tokens: &[Token]) -> Vec<&str> {
        tokens.iter().filter_map(Token::word).collect()
    }

    #[test]
    fn strings_and_comments_are_not_words() {
        let tokens = tokens("// secret\nlet a = \"hidden\"; /* deep */").unwrap();
        assert_eq!(words(&tokens), ["let", "a"]);
    }

    #[test]
    fn lines_are_counted_from_one() {
        let tokens = tokens("\n\nfn f() {\n}\n").unwrap();
        assert_eq!(tokens.first().map(|token| token.line), Some(3));
        assert_eq!(tokens.last().map(|token| token.line), Some(4));
    }

    #[test]
    fn test_modules_are_taken_out() {
        let text = "fn a() {} #[cfg(test)] #[allow(x)] mod tests { fn b() { if c {} } } fn d() {}";
        let kept = without_tests(&tokens(text).unwrap());
        assert_eq!(words(&kept), ["fn", "a", "fn", "d"]);
    }

    #[test]
    fn a_test_function_outside_a_module_stays() {
        let kept = without_tests(&tokens("#[cfg(test)] fn a() {} mod b { fn c() {} }").unwrap());
        assert!(words(&kept).contains(&"c"));
    }
}
