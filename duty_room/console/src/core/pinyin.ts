/** Search that finds 新盛 by "xs": the first letter of each character's pinyin, from the browser's own collation. */

/** First character of each initial in pinyin order; i, u and v begin no syllable. */
const LETTERS = "abcdefghjklmnopqrstwxyz";
const FIRSTS = "阿八嚓哒妸发旮哈讥咔垃妈拏噢妑七呥仨他屲夕丫帀";
const collator = new Intl.Collator("zh-CN-u-co-pinyin");
const works = collator.compare("八", "阿") > 0;

function letterOf(character: string): string {
  if (!works || !/[\u4e00-\u9fff]/.test(character)) return character.toLowerCase();
  let letter = character;
  for (let i = 0; i < LETTERS.length && collator.compare(FIRSTS[i]!, character) <= 0; i += 1) letter = LETTERS[i]!;
  return letter;
}

export function initials(text: string): string {
  return Array.from(text, letterOf).join("");
}

/** True when the text contains the wanted words, or their initials do. */
export function matches(text: string, wanted: string): boolean {
  const query = wanted.trim().toLowerCase();
  if (query === "") return true;
  return text.toLowerCase().includes(query) || initials(text).includes(query);
}
