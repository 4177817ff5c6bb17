//! Finds what a person probably meant to type.

/// The known word most like `typed`, if one is like it at all.
pub fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    const ALIKE: f64 = 0.75;
    known
        .into_iter()
        .filter(|word| *word != typed)
        .map(|word| (strsim::jaro_winkler(typed, word), word))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, word)| word.to_owned())
}

/// The nearest word as the end of a sentence, or nothing.
pub fn suffix<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(typed, known).map_or_else(String::new, |word| format!("; did you mean `{word}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_found_and_a_stranger_is_not() {
        let known = ["staging", "production"];
        assert_eq!(nearest("stagin", known).as_deref(), Some("staging"));
        assert_eq!(nearest("prodution", known).as_deref(), Some("production"));
        assert_eq!(nearest("xyz", known), None);
    }
}
