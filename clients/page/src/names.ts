/** What a member is called, and its colour: by its number, so that every tab says the same without a word. */

const NAMES = [
  "Otter", "Finch", "Lynx", "Heron", "Badger", "Wren", "Marten", "Ibis", "Hare", "Raven", "Seal", "Swift",
  "Fox", "Crane", "Mole", "Tern", "Bison", "Robin", "Stoat", "Egret", "Newt", "Owl", "Vole", "Stork",
];

/** Hues apart from each other, readable on light and dark. */
const HUES = [172, 24, 262, 330, 205, 45, 140, 0, 285, 230, 95, 310];

/** The colour of a member, as a place in {@link colours}. */
export const colourOf = (member: number): number => member % HUES.length;

/** The colours for a canvas. */
export const colours = (dark: boolean): string[] =>
  HUES.map((hue) => `hsl(${hue} ${dark ? 72 : 68}% ${dark ? 62 : 44}%)`);

/** What a member is called. */
export const nameOf = (member: number): string => `${NAMES[member % NAMES.length]} ${member}`;
