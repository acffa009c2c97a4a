"""Students in browsers and Node: a site with the weights, the kernel and the JavaScript modules."""
