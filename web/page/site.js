/** Inside of the documentation's page: as high as needed, and in the colours of its switch. */

export function fitIntoSite() {
  const frame = window.frameElement;
  if (!(frame instanceof HTMLElement)) return;
  const fit = () => {
    frame.style.height = `${document.documentElement.offsetHeight}px`;
  };
  new ResizeObserver(fit).observe(document.documentElement);
  const site = frame.ownerDocument.body;
  const colours = () => {
    document.documentElement.dataset.scheme = site.dataset.mdColorScheme ?? "";
  };
  new MutationObserver(colours).observe(site, { attributeFilter: ["data-md-color-scheme"] });
  colours();
}
