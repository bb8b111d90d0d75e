// Preloaded with --import: everything behaves as if the optional package koffi were not installed.

import { registerHooks } from 'node:module';

registerHooks({
  resolve: (specifier, context, next) => {
    if (specifier !== 'koffi') return next(specifier, context);
    throw Object.assign(new Error("Cannot find package 'koffi'"), { code: 'ERR_MODULE_NOT_FOUND' });
  },
});
