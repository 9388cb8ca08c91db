/**
 * The shape of a dot: a round with a tip. It is painted as a path, since two hundred copies of a picture cost thrice as much.
 *
 * ```text
 *   ╭───╮ ╲
 *   │   │   > tip       in radii, the middle of both at 0, looking along x
 *   ╰───╯ ╱
 * ```
 */

/** How large a dot is that a machine moves. */
const SMALL = 0.78;

/** How far the tip of a drop is from the middle of its round, in radii. */
const TIP = 1.75;

/** Where the tip leaves the round: half of that angle. */
const LEAVES = Math.acos(1 / TIP);

type Context = CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D;

let shape: Path2D | undefined;

/** Fills one around this place. Transforms the context: whoever is done with all of them resets that. */
export function drop(context: Context, x: number, y: number, heading: number, radius: number): void {
  const angle = heading * 2 * Math.PI;
  const [along, aside] = [Math.cos(angle) * radius, Math.sin(angle) * radius];
  context.setTransform(along, aside, -aside, along, x, y);
  context.fill((shape ??= shapeOf()));
}

/** The radius of a dot. */
export const radiusOf = (radius: number, bot: boolean): number => radius * (bot ? SMALL : 1);

function shapeOf(): Path2D {
  const back = -(TIP - 1) / 2;
  const path = new Path2D();
  path.moveTo(back + TIP, 0);
  path.arc(back, 0, 1, LEAVES, -LEAVES);
  path.closePath();
  return path;
}
