# Two stages: compile with the development dependencies, run with what the package needs.
FROM node:24.11.0-bookworm-slim AS build
WORKDIR /build
COPY package.json package-lock.json ./
COPY runtime/package.json runtime/
# Without the workspace that brings clones their Node: the image has its own.
RUN npm ci --ignore-scripts --workspaces=false
COPY . .
RUN npm run build && npm prune --omit=dev --ignore-scripts --workspaces=false

FROM node:24.11.0-bookworm-slim
ENV NODE_ENV=production
WORKDIR /opt/hopscope
COPY --from=build /build/package.json ./
COPY --from=build /build/node_modules node_modules
COPY --from=build /build/dist dist
RUN mkdir -p /var/lib/hopscope && chown node:node /var/lib/hopscope
USER node
VOLUME /var/lib/hopscope
ENTRYPOINT ["node", "dist/collector/cli.js"]
CMD ["start"]
