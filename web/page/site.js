/** Inside of the documentation's page: as high as needed, and in the colours of its switch. */

export function fitIntoSite() {
  // No `instanceof`: it is of the other document's classes.
  const frame = /** @type {HTMLIFrameElement | null} */ (window.frameElement);
  if (frame === null) return;
  const fit = () => {
    frame.style.height = `${document.documentElement.offsetHeight}px`;
  };
  new ResizeObserver(fit).observe(document.documentElement);
  document.documentElement.dataset.site = ""; // which has a title of its own
  const site = frame.ownerDocument.body;
  const colours = () => {
    document.documentElement.dataset.scheme = site.dataset.mdColorScheme ?? "";
  };
  new MutationObserver(colours).observe(site, { attributeFilter: ["data-md-color-scheme"] });
  colours();
}
