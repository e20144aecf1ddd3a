/**
 * Options of a fastify whose routes have no JSON schemas: what compiles them is never loaded, nor part of our bundles
 * (`scripts/build.mjs`). It is a third of fastify, and of its start.
 */
export const WITHOUT_SCHEMAS = {
  schemaController: {
    compilersFactory: {
      // Their types are those of the packages that are left out.
      buildValidator: (() => () => () => true) as never,
      buildSerializer: (() => () => JSON.stringify) as never,
    },
  },
};
