// Rendered at each request in dev, so that links are read as they are now.
export default { devToolbar: { enabled: false } };
