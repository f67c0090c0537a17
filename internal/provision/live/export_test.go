package live

// Eventually is for tests of how long Apply waits.
var Eventually = eventually

// DifferentStatements is for tests.
var DifferentStatements = differentStatements
