# Writes OUTPUT: the JSON file INPUT as a C++ raw string literal.
file(READ ${INPUT} text)
string(STRIP "${text}" text)
file(WRITE ${OUTPUT} "R\"patchbay(${text})patchbay\"\n")
