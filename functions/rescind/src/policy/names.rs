//! Lists of actions and resources, with wildcards, and what of them covers what.
//!
//! `*` stands for any characters, `?` for one (IAM user guide, *Action* and *Resource* elements). Actions are compared
//! without regard to case.

/// What `Action` or `NotAction`, `Resource` or `NotResource` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Names {
    /// What one of these patterns matches.
    Of(Vec<String>),
    /// Everything but what one of these patterns matches.
    AllBut(Vec<String>),
}

impl Names {
    /// The same in lower case.
    pub(super) fn in_lower_case(&self) -> Self {
        let lower = |patterns: &[String]| patterns.iter().map(|pattern| pattern.to_ascii_lowercase()).collect();
        match self {
            Self::Of(patterns) => Self::Of(lower(patterns)),
            Self::AllBut(patterns) => Self::AllBut(lower(patterns)),
        }
    }

    /// Everything there is.
    pub(super) fn all() -> Self {
        Self::Of(vec!["*".to_owned()])
    }

    /// Whether `name`, or each name that matches it when it is a pattern, is among these.
    pub(super) fn contain(&self, name: &str) -> bool {
        match self {
            Self::Of(patterns) => patterns.iter().any(|pattern| covers(pattern, name)),
            Self::AllBut(patterns) => !patterns.iter().any(|pattern| overlap(pattern, name)),
        }
    }

    /// Whether all of `others` are surely among these. `false` when it can't be told.
    pub(super) fn contain_all(&self, others: &Self) -> bool {
        match (self, others) {
            (_, Self::Of(names)) => names.iter().all(|name| self.contain(name)),
            (Self::Of(patterns), Self::AllBut(_)) => patterns.iter().any(|pattern| is_all(pattern)),
            (Self::AllBut(mine), Self::AllBut(theirs)) => {
                mine.iter().all(|pattern| theirs.iter().any(|their| covers(their, pattern)))
            }
        }
    }

    /// Whether something may be both among these and among `others`.
    pub(super) fn may_meet(&self, others: &Self) -> bool {
        // A variable stands for anything.
        let open =
            |pattern: &String| pattern.split_once("${").map_or_else(|| pattern.clone(), |(text, _)| format!("{text}*"));
        let is_left =
            |names: &[String], but: &[String]| names.iter().any(|name| !but.iter().any(|one| covers(one, name)));
        match (self, others) {
            (Self::Of(mine), Self::Of(theirs)) => {
                mine.iter().map(open).any(|one| theirs.iter().map(open).any(|other| overlap(&one, &other)))
            }
            (Self::Of(names), Self::AllBut(but)) | (Self::AllBut(but), Self::Of(names)) => is_left(names, but),
            (Self::AllBut(_), Self::AllBut(_)) => true,
        }
    }

    /// Whether there is surely nothing among these.
    pub(super) fn are_none(&self) -> bool {
        match self {
            Self::Of(patterns) => patterns.is_empty(),
            Self::AllBut(patterns) => patterns.iter().any(|pattern| is_all(pattern)),
        }
    }

    /// Whether none of these depends on who asks or on what is asked for.
    pub(super) fn are_fixed(&self) -> bool {
        let (Self::Of(patterns) | Self::AllBut(patterns)) = self;
        !patterns.iter().any(|pattern| pattern.contains("${"))
    }

    /// The same, as a person would say it: a few of the patterns.
    pub(super) fn in_words(&self) -> String {
        let few = |patterns: &[String]| crate::text::few(patterns.iter().map(|p| crate::text::clean(p, 80)).collect());
        match self {
            Self::Of(patterns) => few(patterns),
            Self::AllBut(patterns) => format!("everything but {}", few(patterns)),
        }
    }
}

/// Whether a pattern matches every action or resource.
pub(super) fn is_all(pattern: &str) -> bool {
    !pattern.is_empty() && pattern.contains('*') && pattern.bytes().all(|b| matches!(b, b'*' | b'?' | b':'))
}

/// Whether a text has a wildcard in it.
pub(super) fn has_wildcard(text: &str) -> bool {
    text.contains(['*', '?'])
}

/// Whether each text that `inner` matches is one that `outer` matches. A text without wildcards is a pattern that matches
/// itself. May answer `false` for some pairs of patterns where it holds, never `true` where it does not.
pub(super) fn covers(outer: &str, inner: &str) -> bool {
    let (outer, inner): (Vec<char>, Vec<char>) = (outer.chars().collect(), inner.chars().collect());
    let (mut at, mut read) = (0, 0);
    // Where the last `*` of `outer` stands, and how far `inner` was read when it was met.
    let mut last_star: Option<(usize, usize)> = None;
    while let Some(&symbol) = inner.get(read) {
        match outer.get(at) {
            Some('*') => {
                last_star = Some((at, read));
                at += 1;
            }
            Some(&expected) if symbol != '*' && (expected == symbol || expected == '?') => {
                at += 1;
                read += 1;
            }
            _ => match last_star {
                Some((star, from)) => {
                    last_star = Some((star, from + 1));
                    at = star + 1;
                    read = from + 1;
                }
                None => return false,
            },
        }
    }
    outer.iter().skip(at).all(|&rest| rest == '*')
}

/// Whether some text is matched by both patterns.
pub(super) fn overlap(one: &str, other: &str) -> bool {
    let other: Vec<char> = other.chars().collect();
    // Whether what was read of `one` overlaps with the first `n` symbols of `other`.
    let mut row: Vec<bool> = Vec::with_capacity(other.len() + 1);
    row.push(true);
    for &symbol in &other {
        let before = row.last().copied().unwrap_or_default();
        row.push(before && symbol == '*');
    }
    for symbol in one.chars() {
        let mut next = Vec::with_capacity(row.len());
        next.push(symbol == '*' && row.first().copied().unwrap_or_default());
        for ((&theirs, &diagonal), &above) in other.iter().zip(&row).zip(row.iter().skip(1)) {
            let left = next.last().copied().unwrap_or_default();
            let stars = (symbol == '*' || theirs == '*') && (above || left);
            let same = symbol == theirs || symbol == '?' || theirs == '?';
            next.push(stars || (same && diagonal));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_pattern_covers() {
        for (outer, inner) in [
            ("*", "*"),
            ("*", "s3:getobject"),
            ("s3:*", "s3:get*"),
            ("i?m:*", "iam:putuserpolicy"),
            ("i?m:*", "i?m:put*"),
            ("arn:aws:s3:::b*", "arn:aws:s3:::b/*"),
            ("a*b*c", "axxbyyc"),
            ("**", "a"),
        ] {
            assert!(covers(outer, inner), "{outer} {inner}");
        }
        for (outer, inner) in [
            ("s3:get*", "s3:*"),
            ("?", "*"),
            ("s3:*", "*"),
            ("a*c", "ab"),
            ("", "a"),
            ("arn:aws:s3:::b/*", "arn:aws:s3:::b"),
        ] {
            assert!(!covers(outer, inner), "{outer} {inner}");
        }
    }

    #[test]
    fn what_overlaps() {
        for (one, other) in [("s3:*", "s3:get*"), ("*a", "b*"), ("a?c", "ab*"), ("*", ""), ("a", "a")] {
            assert!(overlap(one, other) && overlap(other, one), "{one} {other}");
        }
        for (one, other) in [("s3:*", "iam:*"), ("a", "b"), ("a*b", "a*c"), ("?", ""), ("abc", "ab")] {
            assert!(!overlap(one, other) && !overlap(other, one), "{one} {other}");
        }
    }

    #[test]
    fn what_may_meet() {
        let of = |patterns: &[&str]| Names::Of(patterns.iter().map(|&p| p.to_owned()).collect());
        let but = |patterns: &[&str]| Names::AllBut(patterns.iter().map(|&p| p.to_owned()).collect());
        for (one, other) in [
            (of(&["s3:put*"]), of(&["s3:getobject", "s3:*"])),
            (of(&["b/${aws:username}"]), of(&["b/x"])),
            (of(&["s3:getobject"]), but(&["s3:put*"])),
            (but(&["s3:*"]), but(&["iam:*"])),
        ] {
            assert!(one.may_meet(&other) && other.may_meet(&one), "{one:?} {other:?}");
        }
        for (one, other) in [(of(&["s3:put*"]), of(&["s3:getobject"])), (of(&["s3:getobject"]), but(&["s3:get*"]))] {
            assert!(!one.may_meet(&other) && !other.may_meet(&one), "{one:?} {other:?}");
        }
    }

    #[test]
    fn everything_but_is_compared_with_everything_but() {
        let of = |patterns: &[&str]| Names::Of(patterns.iter().map(|&p| p.to_owned()).collect());
        let but = |patterns: &[&str]| Names::AllBut(patterns.iter().map(|&p| p.to_owned()).collect());
        assert!(but(&["iam:*"]).contain_all(&of(&["s3:*"])));
        assert!(!but(&["iam:*"]).contain_all(&of(&["*"])));
        assert!(but(&["iam:pass*"]).contain_all(&but(&["iam:*"])));
        assert!(!but(&["iam:*"]).contain_all(&but(&["iam:pass*"])));
        assert!(of(&["*:*"]).contain_all(&but(&["iam:*"])) && !of(&["s3:*"]).contain_all(&but(&["iam:*"])));
    }
}
