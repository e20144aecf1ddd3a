module livedev.example/clock

go 1.19
