require('./concerts.js');
require('./smoke.js');
