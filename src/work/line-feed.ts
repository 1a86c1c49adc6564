/** The byte that ends a line of text, in UTF-8 as in ASCII. */
export const lineFeed = 0x0a;
