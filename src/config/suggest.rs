//! "Did you mean": the known word nearest to one that is not known.

/// The known word that `unknown` was probably meant to be, if one is near enough.
///
/// Near is a third of the word's length in edits, capitals and separators not counting: this finds
/// typing mistakes and other spellings (`numPartitions`), not words that merely share letters.
pub fn suggest<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain_unknown = plain(unknown);
    known
        .into_iter()
        .map(|word| (distance(&plain_unknown, &plain(word)), word))
        .filter(|(edits, word)| *edits <= word.len().max(3) / 3)
        .min()
        .map(|(_, word)| word)
}

fn plain(word: &str) -> Vec<char> {
    // Long enough for every key there is; a longer word is nobody's typing mistake.
    const CHARACTERS_MAX: usize = 80;
    let significant = word.chars().filter(|c| c.is_alphanumeric());
    significant
        .flat_map(char::to_lowercase)
        .take(CHARACTERS_MAX)
        .collect()
}

/// Insertions, deletions, replacements and swaps of neighbours that lead from one word to the other.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before_last[j - 2] + 1);
            }
            row.push(least);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests;
