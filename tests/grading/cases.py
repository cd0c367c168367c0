r"""Grading cases as data: prediction, gold, and what must come out (None: cannot be judged)."""

from __future__ import annotations

Case = tuple[str | None, str | None, bool | None]

UNEQUAL: list[tuple[str, str]] = [  # each pair once fooled a grader in use
    ("2(x+1)", "2x+1"), (r"\frac{1}{23}", r"\frac{12}{3}"), ("a+b", "c+b"), ("204", "2.04"), ("1", "100"),
    ("500", "5"), ("5050", "50.50"), ("1,2", "12"), ("0.00001", "0.00005"), ("[1,2]", "(1,2)"),
    ("(-inf,1]", "(-inf,1)"), ("x^{12}", "x^{1}2"), ("2^{a+b}", "2^{a}+b"), ("x=2,y=3", "x=3,y=2"),
    ("1/2^99", "1/2^98"), (r"\frac{1}{2^{99}}", r"\frac{1}{2^{98}}"), (r"x/2^{99}", r"x/2^{98}"),
    (r"(0,1/2^{99})", r"(0,1/2^{98})"), ("1000000000", "1000000001"), ("100!", "100!+1"), ("10", "10.0000001"),
    ("listen", "silent"), ("5d", "5"), ("5 c", "5"), ("5x", "5"), ("3 xy", "3"), ("1011_2", "1011_3"),
    ("x^2+1=0", "x^2+2=0"), ("x=5", "y=5"), (r"\infty", r"-\infty"), ("6+5i", "6-5i"), ("-3", "3"), ("x^3", "3^x"),
    (r"\lfloor x/2 \rfloor", r"\lfloor (2x-1)/5 \rfloor"), (r"\lceil x \rceil", r"\lfloor x \rfloor + 1"),
    ("x=5,x=6", "y=5,y=6"), ("2,2", "2"), ("1,2,2", "1,2"), ("f(x)=x,f(x)=1", "f(x)=1,f(x)=-x"), ("100, 200", "100200"),
]  # fmt: skip

NUMBERS: list[Case] = [
    (r"1{,}000", "1000", True), ("1,000,000", "1000000", True), ("1 000", "1000", True), (r"1\,000", "1000", True),
    ("1000,99", "1000.99", True), ("1,22", "1.22", True), (r"\$1{,}000.00", "1000", True), ("$5$", "5", True),
    (r"11,\! 111,\! 100", "11111100", True), ("５", "5", True), ("１／２", "0.5", True), ("−3", "-3", True),
    ("07", "7", True),
    (r"\frac12", "0.5", True), (r"\dfrac{1}{2}", r"\tfrac12", True), (r"-\frac{1}{2}", r"\frac{-1}{2}", True),
    ("2/4", "1/2", True), (r"1\frac{1}{2}", "3/2", True), (r"0.\overline{3}", "1/3", True), ("2.0", "2", True),
    ("0.3333", "1/3", True), ("0.33", "1/3", False), ("0.667", "2/3", False), ("66.67", "200/3", True),
    ("0.30000000000000004", "0.3", True), ("3.14159", "3.1416", True), ("3.1", "3.1416", False),
    ("1234.4", "1234", False),
    ("3.14", r"\pi", False), ("3.1416", r"\pi", True), (r"3\pi", "9.42477796", True),
    (r"2\sqrt{3}", "3.4641016", True),
    ("1.5e3", "1500", True), (r"1.5\times10^{3}", "1500", True), ("10^{5}", "100000", True), ("2^{10}", "1024", True),
    (r"50\%", "0.5", True), (r"50\%", "50", True), ("50%", "5", False), (r"12.5\%", "1/8", True),
    (r"\frac{50}{3}\%", r"\frac{50}{3}", True), ("2:3", "4:6", True), ("3:2", "3/2", True), ("12:00", "12:30", False),
    ("9:30 am", "9:30", True), ("9:30 am", "9:30 pm", False), ("11:55 pm on Friday", "11:10 am", False),
    ("1011_2", "1011", True), ("204_{5}", "204_5", True),
]  # fmt: skip

UNITS: list[Case] = [
    (r"5 {~m}", "5", True), (r"9.5 \times 10^{-8} {~m}", "9.5e-8", True),
    (r"3 {~cm}^{-1}", "3", True), (r"5 {~m}", "5 cm", False), (r"\frac{1}{~m}", r"\frac{1}{m}", True), ("3{~x}", "3x", True),
    (r"\frac{~a}{b}", r"\frac{a}{b}", True),
    ("5 cm", "5", True), (r"5\text{ cm}", "5", True), (r"5 \text{ cm}^2", "5", True), ("5", r"5 \mathrm{~cm}", True),
    ("5 cm", "5 m", False), ("5 apples", "5", True), ("5元", "5", True), ("12平方厘米", "12", True), ("5°", "5", True),
    ("5^\\circ", "5", True), ("5 million", "5", False), ("5 million", "5000000", True),
    ("36 \\mathrm{~mL}", "36", True),
    (r"15,000 \, \text{kcal m}^{-2} \text{ yr}^{-1}", "15000", True), (r"12^{\mathrm{th}} \text{ grade}", "12", True),
    (r"5\sqrt{2} \text{ cm}", r"5\sqrt2", True), (r"5\sqrt{2} cm", r"5\sqrt2", True), ("2 pi", "2", False),
]  # fmt: skip

CHOICES: list[Case] = [
    (r"\text{B}", "B", True), ("(B)", "B", True), ("B.", "B", True), (r"\textbf{B}", "B", True),
    (r"\mathrm{B}", "B", True),
    (r"\text{(B)}", "B", True), ("b", "B", True), ("B. 12", "B", True), ("(B) 12", "B", True),
    ("Option B", "B", True),
    ("选项B", "B", True), ("C", "B", False), ("(C)", "B", False), ("12", "B", False), ("AB", "B", False),
    ("A B D", "ABD", True), (r"\text{A, B, D}", "ABD", True), ("ABD", "A B D", True), ("A、B、D", "ABD", True),
    (r"\text{A, C}", "AC", True), ("(A), (B)", "AB", True), ("A and B", "AB", True), ("ABC", "ABD", False),
    ("C", "C. 12", True), ("D", "C. 12", False), ("12", "C. 12", True), ("13", "C. 12", False), ("A", "（A）12", True),
    ("C. 12", "C. 12", True), ("C. 13", "C. 12", None), ("D. 12", "C. 12", False),
    ("A: '-273°C", "A", True), ("A: '-273°C", "C", False), ("D: '980 J", "D", True), ("D: K (potassium)", "D", True),
    ("D: K (potassium)", "K", False), ("23 weeks (option C)", "C", True), ("23 weeks (Option C)", "B", False),
    ("A: 5 or C: 6", "A", False), ("neither (option B)", "B", False),
]  # fmt: skip

WORDS: list[Case] = [
    ("odd", r"\text{odd}", True), ("Odd.", "odd", True), ("even", "odd", False), ("Evelyn", r"\text{Evelyn}", True),
    ("yes", "Yes", True), ("Yes, it converges", "Yes", True), ("the cat", "cat", True),
    (r"\text{book store}", "Bookstore", True),
    ("blue and red", "red, blue", True), ("no solution", "5", False), ("没有", "没有", True), ("正确", "错误", False),
    ("Ann is a knight, Bob is a knave", "Bob is a knave, and Ann is a knight.", True),
    ("(1) Ann is a knight (2) Bob is a knave", "Ann is a knight and Bob is a knave", True),
    ("Ann: knight, Bob: knave", "Ann is a knight, Bob is a knave", True),
    ("Ann is a knave, Bob is a knight", "Ann is a knight, Bob is a knave", False),
]  # fmt: skip

STRUCTURES: list[Case] = [
    ("1,2", "2,1", True), ("(2,1)", "(1,2)", False), (r"\{1,2\}", "(1,2)", False), ("(2,1)", r"\{1,2\}", False),
    ("{1,2}", "1,2", True), ("2,3", "2,3,5", False), ("2 and 3", "2,3", True), (r"x=2 \text{ or } x=3", "2,3", True),
    (r"\frac{4}{2} \text{ or } 3", r"2 \text{ or } 3", True), (r"\pm 2", "2,-2", True), (r"\pm 2", "2", False),
    ("(1,2),(3,4)", "(3,4),(1,2)", True), ("(1,2),(3,4)", "(4,3),(1,2)", False),
    (r"\left(\frac{1}{2}, 3\right)", "(0.5,3)", True),
    ("(0.6,2.6667]", r"(\frac{3}{5},\frac{8}{3}]", True), (r"x\in[0,1]", "[0,1]", True), ("x>5", r"(5,\infty)", True),
    (r"(5,\infty)", "x>5", True), ("x>=5", r"(5,\infty)", False), (r"2 \le x \le 3", "[2,3]", True),
    ("2<x<3", "[2,3]", False),
    (r"[0,1)\cup(2,3]", r"(2,3]\cup[0,1)", True), (r"[0,1)\cup(2,3]", r"[0,1)\cup[2,3]", False),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{bmatrix}1&2\\3&4\end{bmatrix}", True),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{bmatrix}1&2\\3&5\end{bmatrix}", False),
    (r"\begin{pmatrix} 1 \\ -2 \end{pmatrix}", r"\begin{pmatrix}1\\-2\end{pmatrix}", True),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", "(1,2)", True),
    ("[-2,1)", r"\{x \mid -2 \le x < 1\}", True), ("[-2,1]", r"\{x \mid -2 \le x < 1\}", False),
    (r"\{3k \mid k \in \mathbb{Z}\}", r"\{x|x=3k,k\in\mathbb{Z}\}", True), ("100, 200", "100,200", True),
]  # fmt: skip

EXPRESSIONS: list[Case] = [
    ("x=5", "5", True), ("5", "x=5", True), ("y=2x+1", "2x+1", True), ("y=2x+1", "y=2x-1", False),
    ("f(x)=x^2", "x^2", True),
    ("x^2+1=0", "2x^2+2=0", True), ("2x+4=0", "x+2=0", True), ("x^2-3x+2=0", "2x^2-6x+4=0", True),
    ("x^2-3x+2=0", "x^2-3x+3=0", False), ("2x=4", "x=2", False), ("(x, y) = (3, 4)", "(x,y)=(3,5)", False), ("(x,y)=(1,2)", "x+y=3", False),
    (r"x+2y=\infty", r"x+y=\infty", False), (r"x^2=\infty", r"2x^2=\infty", False), (r"x=y+\infty", r"x+3=y+\infty", False), ("x^2-2x+1=0", "x-1=0", False), ("x^2+2x+1", "(x+1)^2", True), (r"\sin^2 x + \cos^2 x", "1", True),
    ("10!", "3628800", True),
    (r"\frac{x+1}{x-1}", r"1+\frac{2}{x-1}", True), (r"\frac{\sqrt{2}}{2}", r"\frac{1}{\sqrt{2}}", True),
    ("12π", r"12\pi", True),
    (r"e^{i\pi}", "-1", True), ("5i+6", "6+5i", True), (r"\log_2 8", "3", True), (r"\binom{10}{5}", "252", True),
    (r"x = \frac{-b \pm \sqrt{b^2-4ac}}{2a}", r"\frac{-b \pm \sqrt{b^2-4ac}}{2a}", True), ("ab", "ba", True),
    ("1000(26)", "26000", True), (r"\arcsin(10/13)", "np.arcsin(10/13)", True),
    ("sqrt(3)/2", r"\frac{\sqrt{3}}{2}", True),
    (r"\lceil x/2 \rceil", r"-\lfloor -x/2 \rfloor", True), ("f(x)=-x, f(x)=x", "f(x)=x,f(x)=-x", True),
    (r"f(x)=x \text{ or } f(x)=-x", "x, -x", True), ("20", "20 $cm^{2}$", True), (r"15,\,000", "15000", True),
]  # fmt: skip

NOT_JUDGED_OR_ABSENT: list[Case] = [
    ("5", None, None), ("5", "", None), ("5", " ", None), ("5", "proof", None), ("5", "notfound", None),
    ("5", "None", None),
    (None, "5", False), ("", "5", False), (None, None, None), (None, "proof", None), ("5\x00", "5", True),
]  # fmt: skip

PARTS: list[Case] = [  # of several parts: names, order, repeats, conditions, sentences
    ("1,4", "a=4, b=1", False), ("4,1", "a=4, b=1", True), ("b=1, a=4", "a=4, b=1", True), ("a=4", "a=4, b=1", False),
    ("f(x)=x, g(x)=-x", "f(x)=x, f(x)=-x", False), ("g(n)=2, f(n)=n", "f(n)=n, g(n)=2", True),
    (r"A=\frac\pi5, 1+\sqrt7", r"A=\frac{\pi}{5}, 1+\sqrt{7}", True), (r"\frac\pi5, 1+\sqrt7", r"A=\frac\pi5, 1+\sqrt7", True),
    (r"e=\sqrt2, t=3", r"e=\sqrt3, t=3", False), ("1=2", "3=4", False), ("y=2x+1", "f(x)=2x+1", True),
    ("f(t)=t+7", "f(x)=x+7", True), ("C=3h+2", "C(h)=3h+2", True), (r"1+\frac{\sqrt q}{\sqrt s}", r"r=1+\sqrt{\frac{q}{s}}", True),
    ("7,3,1", "7,3,1,1", False), ("7,3,3,1", "7,3,1,1", False), ("1,7,1,3", "7,3,1,1", True), ("-5", "-5,-5", False),
    ("(1)(2)", "(1)(3)(4)", False), ("①③④", "(1)(3)(4)", True), ("4, 3, 1", "(1)(3)(4)", True), ("12", "(1)(3)(4)", False),
    ("2:4:6", "1:2:3", True), ("1:3:2", "1:2:3", False), (r"1:\sqrt3:2", r"1:2:\sqrt3", False),
    ("c<a<b", "b>a>c", True), ("b>c>a", "b>a>c", False),
    (r"\frac{x^2}{9}+y^2=1 (y>0)", r"\frac{x^2}{9}+y^2=1 \ (y>0)", True), ("x^2+y^2=1 (y>0)", "x^2+y^2=4 (y>0)", False),
    ("x^2+y^2=1", "x^2+y^2=1 (y>0)", False), ("x^2+y^2=1 (y<0)", "x^2+y^2=1 (y>0)", False),
    (r"\frac{\pi}{2}+n\pi", r"x=k\pi+\frac{\pi}{2}, k\in\mathbb{Z}", True),
    (r"\frac{\pi}{3}+n\pi", r"x=k\pi+\frac{\pi}{2}, k\in\mathbb{Z}", False),
    ("48,384", "$48$, $384$", True), ("384, 48", "48,384", True), ("48,385", "$48$, $384$", False),
    ("9", "$9$ is the smallest", True), ("8", "$9$ is the smallest", False), ("minimum $5$ at $x=1$", "minimum $5$ at $x=1$", True),
    ("maximum $5$ at $x=1$", "minimum $5$ at $x=1$", None), ("minimum $5$ at $x=2$", "minimum $5$ at $x=1$", False),
    ("3.5 hours and 2 minutes", "35 hours and 2 minutes", False), (r"\text{max } 3, \text{min } -1", r"\text{max } 3, \text{min } 1", False),
    ("1, 6, and 49", "1, 8, and 49", False), ("1, 8, 49", "1, 8, and 49", True), (r"7, -2, -5", r"7, -2, \text{ and } -5", True),
    ("(2, 3)(9, 7)", "(2, 3)(2, 7)", None), (r"\frac23", r"\frac{1}{3}E_{1}+\frac{2}{3}E_{2}", None), ("3", r"3\mid n", None),
    (r"n\equiv 1 \pmod 3", r"n\equiv 2 \pmod 3", False), (r"1 \pmod{3}", r"n\equiv 1 \pmod 3", True), (r"672 \pmod{1090}", r"672 \pmod{1000}", False),
    ("672", r"672 \pmod{1000}", True), ("A: 3, B: 5", "A: 3, B: 4", False), ("A: 5", "A: 3", None), ("B. Jones", "B. Smith", None),
    ("(A)^2", "(A)^3", False), (r"\text{(C)} 12", "12", True), ("12", r"\text{(C)} 12", True), ("at least $5$", "5", None),
    (r"\le 3", "3", False), ("5+", "5", False), ("P(A)=1/2", "P(B)=1/2", False), (r"y_{\max}=3", r"y_{\min}=3", None),
    ("x_1=3,x_2=2", "x_1=2,x_2=3", True), ("2,3", "x_1=2,x_2=3", True), ("x=2,1", "x=1,2", True),
    (r"2n-1", r"a_n=2n-1 (n \in \mathbb{N}^{*})", True), ("y=x^2, x>0", "y=x^2 (x>0)", True), ("1 and 3", "(1)(3)", True), ("①和③", "(1)(3)", True),
    ("(x,y)=(2,3)", "(2,3)", True), ("No real roots", "No", False), ("No, it is odd", "No", True), ("①③", "(1)(3)", True),
]  # fmt: skip

ANGLES_AND_UNITS: list[Case] = [
    (r"\sin 30^\circ", r"\frac12", True), (r"2\sin 10^\circ", r"2\cos 80^\circ", True), (r"\cos 20^\circ", r"\cos 20", False),
    (r"\frac{\pi}{6}", r"30^\circ", True), (r"90^\circ", r"\frac{\pi}{2}", True), (r"\frac{\pi}{5}", r"30^\circ", False),
    (r"\frac{\sqrt3}{2}\cos 20^\circ", r"\cos 20^\circ \cdot \frac{\sqrt3}{2}", True),
    (r"3\sqrt2\text{ km}", r"3\sqrt2\text{ cm}", False), (r"3\sqrt2\text{ cm}", r"3\sqrt2", True), ("5 km/h", "5 m/s", False),
    (r"5\text{ cm}^2", r"5\text{ cm}^3", False), (r"10^\circ C", r"10^\circ F", False), (r"\sqrt{2}\text{ million}", r"\sqrt2", False),
    (r"\sqrt3\text{ or more}", r"\sqrt3", False), (r"1.6\times10^{-19}\,\text{C}", "1.6e-19", True), ("10^{-7}", "1e-7", True),
    (r"\frac{1}{10^7}", "1e-7", True), (r"5\,\Omega", "5", True), ("1.7 Å", "1.7", True),
]  # fmt: skip

WRITINGS: list[Case] = [
    ("√13", r"\sqrt{13}", True), ("√13", r"\sqrt{1}3", False), ("√(2+√3)", r"\sqrt{2+\sqrt3}", True), ("∛4", r"\sqrt[3]{4}", True),
    (r"4\mathrm{e}", "4e", True), (r"\mathrm{e}^2", "e^2", True), (r"(\pi-1)\mathrm{d}x", r"(\pi-1)dx", True),
    ("8/3 ln 3", r"\frac{8}{3}\ln 3", True), (r"3/4 \pi", r"\frac{3\pi}{4}", True), ("pi/2", r"\frac\pi2", True), ("x**2", "x^2", True),
    (r"0.\dot{3}", "1/3", True), (r"0.\dot3\dot6", "4/11", True), ("0.333...", "1/3", True), ("⅓", "1/3", True),
    ("2516 base 8", "2516_8", True), ("(52)_8", "52_8", True), (r"3\colon 2", "3:2", True), (r"\lg 2", r"\log_{10} 2", True),
    ("y=C_1e^{x}+C_2e^{-x}", "y=C_1 e^x+C_2 e^{-x}", True), ("C_5^2C_3^1", "30", True), (r"\mathrm{C}_5^2", "10", True), ("C_1^2", "0", False),
    (r"\frac\pi{6}", r"\frac{\pi}{6}", True), (r"\frac{1}x", r"\frac{1}{x}", True), ("33 1/3", r"33\frac {1}{3}\%", True),
    ("32_{(4)}", "32_{(8)}", False), (r"\gcd(m-1,n)=1", r"\gcd(m+1,n)=1", None), ("12元", "12米", False),
    (r"C_{2n}^n", r"\binom{2n}{n}", True), (r"\binom{9}{4}\binom{7}{2}", r"C_9^4 \cdot C_7^2", True), (r"x\not=0", r"x\ne0", True),
    (r"\vec{a}+2\vec b", r"\overrightarrow{a}+2\overrightarrow{b}", True), (r"\langle 1,2,3\rangle", "(1,2,3)", True),
    (r"(0,1)\cup(1,+\infty)\cup(-\infty,0)", r"(-\infty,0)\cup(0,1)\cup(1,+\infty)", True),
    (r"x<2\text{ or }x>3", r"(-\infty,2)\cup(3,\infty)", True), (r"x<2\text{ or }x>4", r"(-\infty,2)\cup(3,\infty)", False),
    (r"x\geq -2 \text{ and } x\leq 7", r"x \in [-2,7]", True), ("x > 3.25", r"x > \frac{13}{4}", True), (r"x\ge 2", r"k\ge 2", False),
    ("|x-1|", "x-1", False), ("A^T", "A", None), ("x'", "x", None), ("5 \\text{ and } 9", "5or9", True), (r"\text{}, 30", "30", True),
    ("15,000 kcal m⁻² yr⁻¹", "15000", True), ("0.999999999999", "1", False), ("充分必要条件", "充要条件", True),
    ("x=1 是最大值点", "x=1 是最小值点", None),
]  # fmt: skip

CASES: list[Case] = [
    *((given, gold, False) for given, gold in UNEQUAL),
    *NUMBERS, *UNITS, *CHOICES, *WORDS, *STRUCTURES, *EXPRESSIONS, *PARTS,
    *ANGLES_AND_UNITS, *WRITINGS, *NOT_JUDGED_OR_ABSENT,
]  # fmt: skip
