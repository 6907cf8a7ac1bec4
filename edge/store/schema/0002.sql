-- Where this journal's alarm numbers begin. A journal begun anew (a box replaced, a damaged file set aside) must
-- never give an alarm an id that the duty room already knows: it would be taken for a repetition.
CREATE TABLE birth (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    base INTEGER NOT NULL
) STRICT;
INSERT INTO birth
    SELECT 1, CASE WHEN EXISTS (SELECT 1 FROM alarms) THEN 0 ELSE (abs(random() % 900000) + 100000) * 1000 END;
